/**
 * How long an upstream asks to wait, in milliseconds: `retry-after-ms`, else `retry-after` in seconds or as an HTTP date
 * (RFC 9110 section 10.2.3). What is negative, past or not readable is undefined; what is longer than `capMs` is `capMs`.
 */
export function readRetryAfter(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  options: { nowMs: number; capMs: number },
): number | undefined {
  const milliseconds = readNumber(headers['retry-after-ms']);
  const asked = milliseconds ?? readSeconds(headers['retry-after'], options.nowMs);
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
