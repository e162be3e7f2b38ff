import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** A field that names something in other than a text. */
export function notAnId(field: string, named: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The field \`${field}\` must be the id of a ${named}, as a text.`,
    {
      reason: 'request_invalid',
      param: field,
    },
  );
}
