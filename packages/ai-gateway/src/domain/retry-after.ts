type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * How long an upstream asks to wait, in milliseconds: `retry-after-ms`, else `retry-after` in seconds or as an HTTP date
 * (RFC 9110 section 10.2.3), else until the last of its rate limits that are used up is reset. What is negative, past or not
 * readable is undefined; what is longer than `capMs` is `capMs`.
 */
export function readRetryAfter(
  headers: Headers,
  options: { nowMs: number; capMs: number },
): number | undefined {
  const milliseconds = readNumber(headers['retry-after-ms']);
  const asked =
    milliseconds ?? readSeconds(headers['retry-after'], options.nowMs) ?? readResets(headers, options.nowMs);
  if (asked === undefined || !(asked >= 0)) return undefined;
  return Math.min(asked, options.capMs);
}

function readSeconds(value: string | string[] | undefined, nowMs: number): number | undefined {
  const seconds = readNumber(value);
  if (seconds !== undefined) return seconds * 1000;
  if (typeof value !== 'string' || !/^[A-Za-z]{3}, /.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at - nowMs;
}

function readNumber(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string' || !/^\d{1,12}(\.\d{1,6})?$/.test(value)) return undefined;
  return Number(value);
}

/** Each limit has a header with what remains of it and one that says when it is whole again. */
const limits: readonly (readonly [remaining: string, reset: string])[] = [
  ['anthropic-ratelimit-requests-remaining', 'anthropic-ratelimit-requests-reset'],
  ['anthropic-ratelimit-tokens-remaining', 'anthropic-ratelimit-tokens-reset'],
  ['anthropic-ratelimit-input-tokens-remaining', 'anthropic-ratelimit-input-tokens-reset'],
  ['anthropic-ratelimit-output-tokens-remaining', 'anthropic-ratelimit-output-tokens-reset'],
  ['x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests'],
  ['x-ratelimit-remaining-tokens', 'x-ratelimit-reset-tokens'],
];

function readResets(headers: Headers, nowMs: number): number | undefined {
  const waits = limits.flatMap(([remaining, reset]) => {
    if (headers[remaining] !== '0') return [];
    return readReset(headers[reset], nowMs) ?? [];
  });
  return waits.length === 0 ? undefined : Math.max(...waits);
}

/** An RFC 3339 time, or a duration like `1s`, `6m0s`, `120ms`. */
function readReset(value: string | string[] | undefined, nowMs: number): number | undefined {
  if (typeof value !== 'string' || value.length > 40) return undefined;
  if (/^\d{4}-\d{2}-\d{2}T/.test(value)) {
    const at = Date.parse(value);
    return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
  }
  if (!/^(\d{1,9}(\.\d{1,9})?(h|ms|m|s)){1,4}$/.test(value)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g))
    ms += Number(amount) * (unitMs[unit ?? ''] ?? 0);
  return Math.ceil(ms);
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
