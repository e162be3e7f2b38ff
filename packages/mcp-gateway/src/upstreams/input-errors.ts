import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import { parseFrame, rawText } from '../wire/frame.ts';
import { modernCodes } from '../wire/modern/meta.ts';

/** The client was asked and did not do it. `code`: of its own error, where it gave one. */
export function inputRefused(code?: number): GatewayError {
  return new GatewayError('invalid_request', 'The client did not answer a question that the call needs.', {
    reason: 'input_refused',
    details: { code },
  });
}

/** The answer for a client of 2026-07-28 that cannot do what the call needs. */
export function missingCapability({ bytes, id }: ResponseFrame, needed: object): ResponseFrame {
  const error = {
    code: modernCodes.missingClientCapability,
    message: 'The call needs something of its client that it did not declare.',
    data: { requiredCapabilities: needed },
  };
  const frame = parseFrame(
    Buffer.from(`{"jsonrpc":"2.0","id":${rawText(bytes, id)},"error":${JSON.stringify(error)}}`),
  );
  if (frame.kind !== 'response') throw new TypeError('an answer that was just made is one');
  return frame;
}
