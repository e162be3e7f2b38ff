/** What every hot store asks of its callers, so that a mistake shows on all of them and not on a cluster alone. */

/** How long a fence counter outlives its last lease: longer than a clock is ever set back. */
export const fenceTtlMs = 24 * 3_600_000;

/** How long after its end an entry is removed at the earliest, so that what a clock set back brings to life again is the same everywhere. */
export const cleanupDelayMs = 60_000;

/** The part of a key that decides on which node of a Redis Cluster it lives: what is between its first braces, else all of it. */
export function hashTag(key: string): string {
  const open = key.indexOf('{');
  const close = key.indexOf('}', open + 1);
  return open === -1 || close <= open + 1 ? key : key.slice(open + 1, close);
}

/** @throws TypeError when one script could not touch both keys. */
export function requireSameTag(ring: string, lease: string): void {
  if (hashTag(ring) === hashTag(lease)) return;
  throw new TypeError(`The ring '${ring}' and its lease '${lease}' must share a {tag}`);
}

/** @throws RangeError unless it is a whole number of milliseconds, one or more. */
export function requireTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1) throw new RangeError(`A time to live of ${ttlMs} ms`);
}

/** @throws RangeError unless it is a whole number, one or more. */
export function requireCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`A count of ${count}`);
}
