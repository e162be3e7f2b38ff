import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DialResponse } from '@strata/shared/http/dialer.ts';

/** Reads a whole body of at most `maxBytes`. @throws GatewayError upstream_failed (`result_too_large`), and as the response's body */
export async function readBody(response: DialResponse, maxBytes: number, server: string): Promise<Buffer> {
  try {
    return await response.readAll(maxBytes);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.reason !== 'upstream_answer_too_large') throw error;
    throw new GatewayError(
      'upstream_failed',
      `The server '${server}' answered with more than ${maxBytes} bytes.`,
      {
        reason: 'result_too_large',
        details: { server },
      },
    );
  }
}
