import type { Desk } from '../http/protocol.ts';

/** What every answer of the API carries. */
export function anthropicHeaders(desk: Desk): Record<string, string> {
  const reset = new Date(Math.ceil(desk.clock.now() / 60_000) * 60_000).toISOString().replace('.000', '');
  const headers: Record<string, string> = {
    'request-id': desk.ids.next('req_', 24),
    'anthropic-organization-id': '00000000-0000-4000-a000-000000000000',
  };
  for (const [name, limit] of limits) {
    headers[`anthropic-ratelimit-${name}-limit`] = String(limit);
    headers[`anthropic-ratelimit-${name}-remaining`] = String(limit - 1000);
    headers[`anthropic-ratelimit-${name}-reset`] = reset;
  }
  return headers;
}

const limits = [
  ['requests', 10_000],
  ['tokens', 5_000_000],
  ['input-tokens', 4_000_000],
  ['output-tokens', 1_000_000],
] as const;
