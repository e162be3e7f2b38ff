import {
  afterLife,
  defaultFlapLimits,
  type FlapState,
  steady,
  waitBeforeStart,
} from '../../domain/flap-breaker.ts';

/**
 * When processes of one server may be started. One that ends before its handshake is the server's fault, and everybody waits. One that
 * ends after it may have been brought down by what its session asked: only that session waits, or any caller could take a server from all.
 */
export class StartBreaker {
  readonly #ofSessions = new WeakMap<object, FlapState>();
  #ofServer: FlapState = steady;

  /** Milliseconds until a start for this session is allowed; 0 for now. */
  waitMs(session: object, nowMs: number): number {
    const own = this.#ofSessions.get(session) ?? steady;
    return Math.max(waitBeforeStart(this.#ofServer, nowMs), waitBeforeStart(own, nowMs));
  }

  /** A process ended that was wanted, or could not be started (`livedMs` 0). */
  ended(
    session: object,
    life: { readonly livedMs: number; readonly wasOpened: boolean },
    nowMs: number,
  ): void {
    if (!life.wasOpened) {
      this.#ofServer = afterLife(this.#ofServer, life.livedMs, nowMs, defaultFlapLimits);
      return;
    }
    this.#ofServer = steady;
    const own = this.#ofSessions.get(session) ?? steady;
    this.#ofSessions.set(session, afterLife(own, life.livedMs, nowMs, defaultFlapLimits));
  }
}
