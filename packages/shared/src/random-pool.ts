import { randomFillSync } from 'node:crypto';

const pool = Buffer.allocUnsafeSlow(8192);
let next = pool.length;

/**
 * Cryptographically strong random bytes out of a stock that is filled by one call for hundreds of ids: asking the system for
 * each few bytes costs more than the rest of a short request's ids together. Each byte is given out once. Use the view at once;
 * what it shows is overwritten when the stock is filled again.
 */
export function takeRandomBytes(count: number): Buffer {
  if (count > pool.length) throw new RangeError(`No more than ${pool.length} bytes at a time`);
  if (next + count > pool.length) {
    randomFillSync(pool);
    next = 0;
  }
  const bytes = pool.subarray(next, next + count);
  next += count;
  return bytes;
}
