import type { Readable } from 'node:stream';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Reads a whole body of at most `maxBytes`. @throws GatewayError upstream_failed (`result_too_large`) */
export async function readBody(body: Readable, maxBytes: number, server: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
      body.destroy();
      throw new GatewayError(
        'upstream_failed',
        `The server '${server}' answered with more than ${maxBytes} bytes.`,
        {
          reason: 'result_too_large',
          details: { server },
        },
      );
    }
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}
