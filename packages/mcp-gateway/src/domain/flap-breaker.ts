/**
 * Keeps a server that dies as soon as it starts from being started over and over (F51): after each short life the next
 * start must wait longer, up to a limit; one long life clears the count. A pure reducer; the launcher owns the clock.
 */
export interface FlapState {
  readonly shortLives: number;
  readonly notBeforeMs: number;
}

export interface FlapLimits {
  /** A life at least this long counts as a good one. */
  readonly goodLifeMs: number;
  /** Short lives that are forgiven before starts have to wait. */
  readonly tolerated: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const defaultFlapLimits: FlapLimits = {
  goodLifeMs: 10_000,
  tolerated: 2,
  firstDelayMs: 500,
  maxDelayMs: 30_000,
};

export const steady: FlapState = { shortLives: 0, notBeforeMs: 0 };

/** A life ended, or an attempt to start failed (`livedMs` 0). Times are of a monotonic clock. */
export function afterLife(state: FlapState, livedMs: number, nowMs: number, limits: FlapLimits): FlapState {
  if (livedMs >= limits.goodLifeMs) return steady;
  const shortLives = state.shortLives + 1;
  if (shortLives <= limits.tolerated) return { shortLives, notBeforeMs: 0 };
  const delayMs = Math.min(limits.maxDelayMs, limits.firstDelayMs * 2 ** (shortLives - limits.tolerated - 1));
  return { shortLives, notBeforeMs: nowMs + delayMs };
}

/** How long a start has to wait; 0 when it may happen now. */
export function waitBeforeStart(state: FlapState, nowMs: number): number {
  return Math.max(0, state.notBeforeMs - nowMs);
}
