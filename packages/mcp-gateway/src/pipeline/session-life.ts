import type { Clock } from '@strata/shared/clock.ts';
import {
  isOpen,
  nextSessionState,
  openSession,
  type SessionEnd,
  type SessionEvent,
  type SessionState,
} from '../domain/session.ts';
import { type GatewaySettings, savedAgainMs } from '../domain/settings.ts';

export interface SessionLifeOptions {
  readonly clock: Clock;
  readonly settings: () => GatewaySettings;
  /** Wall clock, of a session that another replica began; else it begins now. */
  readonly createdAtMs: number | undefined;
}

/** How long a session lasts: when it was used, when it has to be told again to other replicas, and when it is over. */
export class SessionLife {
  /** Wall clock. */
  readonly createdAtMs: number;
  readonly #options: SessionLifeOptions;
  #state: SessionState;
  #usedAtMs: number;
  #savedAtMs: number;
  /** Sessions that began together are not saved together ever after. */
  readonly #spread = 0.5 + Math.random() / 2;

  constructor(options: SessionLifeOptions) {
    const { clock, createdAtMs } = options;
    this.#options = options;
    this.createdAtMs = createdAtMs ?? clock.now();
    this.#usedAtMs = clock.monotonic();
    this.#savedAtMs = this.#usedAtMs;
    this.#state = openSession(clock.monotonic() - (clock.now() - this.createdAtMs));
  }

  get state(): SessionState {
    return this.#state;
  }

  get isOpen(): boolean {
    return isOpen(this.#state);
  }

  get endReason(): SessionEnd | undefined {
    return 'reason' in this.#state ? this.#state.reason : undefined;
  }

  touch(): void {
    this.#usedAtMs = this.#options.clock.monotonic();
    this.#apply({ type: 'used', atMs: this.#usedAtMs });
  }

  /** Looks at the clock; one that is busy is used. Whether other replicas have to be told that it lives. */
  tick(atMs: number, isBusy: boolean): boolean {
    this.#apply({ type: 'tick', atMs, isBusy });
    if (isBusy) this.#usedAtMs = atMs;
    const isDue = this.#usedAtMs - this.#savedAtMs >= savedAgainMs(this.#options.settings()) * this.#spread;
    return isDue && this.isOpen;
  }

  saved(): void {
    this.#savedAtMs = this.#options.clock.monotonic();
  }

  close(reason: SessionEnd): void {
    this.#apply({ type: 'close', reason });
  }

  drained(): void {
    this.#apply({ type: 'drained' });
  }

  #apply(event: SessionEvent): void {
    this.#state = nextSessionState(this.#state, event, this.#options.settings().sessions);
  }
}
