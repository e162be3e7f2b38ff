import { GatewayError } from '../errors/gateway-error.ts';
import { subjectText } from '../money/subject.ts';
import { type Limit, remainingOf } from './limit.ts';

/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): for each limit its quota `q` and window `w` in seconds, what
 * remains `r`, and in how many seconds `t` all of it is there again. Limits of concurrency have no window.
 */
export function rateLimitHeaders(
  limits: readonly Limit[],
  states: readonly number[],
): Record<string, string> {
  const policies: string[] = [];
  const items: string[] = [];
  for (const [index, limit] of limits.entries()) {
    const state = states[index] ?? 0;
    if (limit.unit === 'concurrency') {
      policies.push(`"${limit.name}";q=${limit.amount};qu="concurrent-requests"`);
      items.push(`"${limit.name}";r=${Math.max(0, limit.amount - state)}`);
      continue;
    }
    const unit = limit.unit === 'requests' ? '' : `;qu="${limit.unit.replace('_', '-')}"`;
    policies.push(`"${limit.name}";q=${limit.amount};w=${limit.windowMs / 1000}${unit}`);
    const resetS = Math.ceil(state / 1_000_000);
    items.push(`"${limit.name}";r=${remainingOf(limit, state)};t=${resetS}`);
  }
  return policies.length === 0
    ? {}
    : { 'ratelimit-policy': policies.join(', '), ratelimit: items.join(', ') };
}

/** A refusal, with the headers that go with it. */
export class LimitExceeded extends GatewayError {
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    limit: Limit,
    options: { readonly waitUs: number; readonly headers: Readonly<Record<string, string>> },
  ) {
    const retryAfterMs = Math.ceil(options.waitUs / 1000);
    const isConcurrency = limit.unit === 'concurrency';
    const what = isConcurrency
      ? `${limit.amount} at a time`
      : `${limit.amount} ${limit.unit.replace('_', ' ')} in ${limit.windowMs / 1000} s`;
    super(
      'rate_limited',
      `The limit '${limit.name}' of ${subjectText(limit.subject)} is reached: ${what}. Come back after ${Math.ceil(retryAfterMs / 1000)} s.`,
      {
        reason: isConcurrency ? 'concurrency_exceeded' : 'rate_limit_exceeded',
        retryAfterMs,
        details: { limit: limit.name, unit: limit.unit, amount: limit.amount },
      },
    );
    this.headers = options.headers;
  }
}

export function limitExceeded(
  limits: readonly Limit[],
  refusal: { readonly check: number; readonly waitUs: number; readonly states: readonly number[] },
): GatewayError {
  const limit = limits[refusal.check];
  if (limit === undefined) return new GatewayError('internal', 'A limit refused that was not asked');
  return new LimitExceeded(limit, {
    waitUs: refusal.waitUs,
    headers: rateLimitHeaders(limits, refusal.states),
  });
}
