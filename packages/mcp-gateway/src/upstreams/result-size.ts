import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DialResponse } from '@strata/shared/http/dialer.ts';

/** More than the operator lets a server answer with. Nothing is wrong with the server, and the same call again ends the same way. */
export function resultTooLarge(server: string, maxBytes: number): GatewayError {
  return new GatewayError('too_large', `The server '${server}' answered with more than ${maxBytes} bytes.`, {
    reason: 'result_too_large',
    details: { server, max_bytes: maxBytes },
  });
}

/** Whether it is the size of an event for which its stream was given up. */
export function isEventTooLarge(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  return error.reason === 'sse_line_too_long' || error.reason === 'sse_event_too_large';
}

/** Reads a whole body of at most `maxBytes`; at once where it has all come. @throws GatewayError too_large (`result_too_large`), and as the response's body */
export function readBody(response: DialResponse, maxBytes: number, server: string): Promise<Buffer> | Buffer {
  const body = response.readAll(maxBytes);
  if (!(body instanceof Promise)) return body;
  return body.catch((error: unknown) => {
    if (!(error instanceof GatewayError) || error.reason !== 'upstream_answer_too_large') throw error;
    throw resultTooLarge(server, maxBytes);
  });
}
