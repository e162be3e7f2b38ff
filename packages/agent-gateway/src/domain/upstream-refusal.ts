import { type ErrorKind, GatewayError } from '@strata/shared/errors/gateway-error.ts';

const kinds: Readonly<Record<number, ErrorKind>> = {
  400: 'invalid_request',
  401: 'unauthenticated',
  402: 'budget_exceeded',
  403: 'permission_denied',
  404: 'not_found',
  408: 'timeout',
  409: 'conflict',
  413: 'too_large',
  429: 'rate_limited',
  503: 'overloaded',
  504: 'timeout',
};

/** What a neighbour's HTTP status says, as an error of ours: the kind decides whether another attempt may help. */
export function kindOfStatus(status: number): ErrorKind {
  return kinds[status] ?? (status < 500 ? 'invalid_request' : 'upstream_failed');
}

/** What the gateways themselves say when a budget does not bear a call; a run passes it on as it is. */
const budgetReasons: ReadonlySet<unknown> = new Set([
  'budget_exceeded',
  'cost_unknown',
  'run_budget_unknown',
]);

export function isBudgetReason(reason: unknown): reason is string {
  return budgetReasons.has(reason);
}

/** `retry-after` in milliseconds, when it is a number of seconds (RFC 9110 section 10.2.3). */
export function retryAfterMsOf(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  return text !== undefined && /^[0-9]{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

/** Reads a whole body, and no more than it may be. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> & { destroy(): unknown },
  maxBytes: number,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      body.destroy();
      throw new GatewayError('too_large', `The answer is larger than ${maxBytes} bytes.`, {
        reason: 'answer_too_large',
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
