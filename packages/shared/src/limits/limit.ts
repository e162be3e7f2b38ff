import type { Subject } from '../money/subject.ts';

/** What is limited: a number in a window, or how many at a time. */
export const limitUnits = [
  'requests',
  'input_tokens',
  'output_tokens',
  'tool_calls',
  'runs',
  'concurrency',
] as const;
export type LimitUnit = (typeof limitUnits)[number];

export type Amounts = Readonly<Partial<Record<Exclude<LimitUnit, 'concurrency'>, number>>>;

/** What a request used that was refused after it had been counted, before anything was done for it. */
export const nothingUsed: Amounts = {
  requests: 0,
  input_tokens: 0,
  output_tokens: 0,
  tool_calls: 0,
  runs: 0,
};

export interface Limit {
  /** Names what is counted for it: `config:…` or that of the admin API. */
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly subject: Subject;
  /** Where the id of the subject is a pattern: every id that fits has the limit for itself. */
  readonly isEach: boolean;
  readonly unit: LimitUnit;
  readonly amount: number;
  /** Of `concurrency`: not used. */
  readonly windowMs: number;
}

/**
 * GCRA, the token bucket that needs one number: the time at which the bucket would be full again (the theoretical arrival time, TAT). Times
 * are whole microseconds, so that Lua and JavaScript count the same.
 *
 * A bucket holds the amount of one window and fills evenly, so in any window no more than twice the amount passes, and over time never more
 * than the amount a window.
 */
export interface RateCheck {
  readonly type: 'rate';
  readonly key: string;
  /** By how much later the bucket is full when the request is let through. */
  readonly incrementUs: number;
  /** How long an empty bucket takes to fill: the window. */
  readonly burstUs: number;
}

export interface ConcurrencyCheck {
  readonly type: 'concurrency';
  readonly key: string;
  readonly limit: number;
}

export type LimitCheck = RateCheck | ConcurrencyCheck;

/** One request at a bucket that is full again in `usedUs`: in how many it would be after it, and how long it would have to wait. */
export function takeRate(
  usedUs: number,
  { incrementUs, burstUs }: Pick<RateCheck, 'incrementUs' | 'burstUs'>,
): { readonly next: number; readonly waitUs: number } {
  const next = usedUs + incrementUs;
  return { next, waitUs: Math.max(0, next - burstUs) };
}

/** The increment of so much at a limit. More than the whole limit takes the whole bucket, so that it can pass at all; what it used is corrected later. */
export function incrementOf(limit: Pick<Limit, 'amount' | 'windowMs'>, amount: number): number {
  const windowUs = limit.windowMs * 1000;
  return Math.min(windowUs, Math.ceil((amount * windowUs) / limit.amount));
}

/** How much is left of a bucket that is full again in `usedUs`, in units of its limit. */
export function remainingOf(
  { amount, windowMs }: Pick<Limit, 'amount' | 'windowMs'>,
  usedUs: number,
): number {
  const windowUs = windowMs * 1000;
  const freeUs = windowUs - usedUs;
  return Math.max(0, Math.floor((freeUs * amount) / windowUs));
}
