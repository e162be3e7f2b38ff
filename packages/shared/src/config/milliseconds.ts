import * as z from 'zod';

export interface TimeLimits {
  readonly min?: number;
  readonly max?: number;
}

/** A time in whole milliseconds that has a default: a key that ends in `_ms`. */
export function milliseconds(byDefault: number, { min = 1, max }: TimeLimits = {}) {
  const time = z.int().min(min);
  return (max === undefined ? time : time.max(max)).default(byDefault);
}
