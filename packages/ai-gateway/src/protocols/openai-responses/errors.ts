import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asString } from '../read-json.ts';

/** Codes of `{ error: { code, type } }`, of an `error` event, and of a `response.failed` one; most specific first. */
export function readResponsesErrorCodes(body: JsonObject): readonly string[] {
  const error = asObject(body.error) ?? asObject(asObject(body.response)?.error) ?? body;
  const codes = [asString(error.code), asString(error.type)];
  return codes.filter(
    code => code !== undefined && code !== 'error' && code !== 'response.failed',
  ) as string[]; // undefined was filtered out
}

/** The event that ends a stream of which the gateway has seen only bytes. */
export function responsesErrorEvent(error: GatewayError): string {
  const data = {
    type: 'error',
    code: error.reason,
    message: error.publicMessage,
    param: error.param ?? null,
  };
  return `event: error\ndata: ${JSON.stringify(data)}\n\n`;
}
