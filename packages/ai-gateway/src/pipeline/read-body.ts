import type { Readable } from 'node:stream';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Reads a body to its end. One that is larger than `maxBytes` is destroyed. @throws GatewayError upstream_failed */
export function readBody(body: Readable, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    body.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        body.destroy();
        reject(
          new GatewayError('upstream_failed', `The upstream's answer is larger than ${maxBytes} bytes.`, {
            reason: 'upstream_answer_too_large',
          }),
        );
        return;
      }
      chunks.push(chunk);
    });
    body.on('end', () => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, bytes));
    });
    body.on('error', reject);
    body.on('close', () => {
      if (!body.readableEnded) reject(closedEarly());
    });
  });
}

function closedEarly(): GatewayError {
  return new GatewayError(
    'upstream_failed',
    'The upstream closed the connection before its answer was complete.',
    {
      reason: 'upstream_answer_truncated',
    },
  );
}
