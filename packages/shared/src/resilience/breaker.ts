import type { Clock } from '../clock.ts';

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** How long it stays open the first time; doubles with each probe that fails. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

/** Who may pass, and what has been seen. Each state owns what only it needs. */
type State =
  | { readonly type: 'closed'; readonly failuresInRow: number }
  | { readonly type: 'open'; readonly untilMs: number; readonly openMs: number }
  | { readonly type: 'probing'; readonly untilMs: number; readonly openMs: number };

export type BreakerVerdict = 'pass' | 'probe' | { readonly retryAfterMs: number };

const maxKeys = 10_000;
const closed: State = { type: 'closed', failuresInRow: 0 };

/**
 * Keeps work away from what is failing, one circuit a key. After its time an open circuit lets one probe through; the probe's outcome
 * closes it or opens it for longer. Only report what says something about the far end: a caller's own mistake does not.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  readonly #clock: Clock;
  readonly #states = new Map<string, State>();

  constructor(options: BreakerOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /**
   * Asks for one passage. Whoever gets `probe` should report its outcome; until then, or until the time of one opening has
   * gone by without a word of it, nobody else gets through.
   */
  ask(key: string): BreakerVerdict {
    const state = this.#states.get(key) ?? closed;
    switch (state.type) {
      case 'closed':
        return 'pass';
      case 'probing':
      case 'open': {
        const nowMs = this.#clock.monotonic();
        if (state.untilMs > nowMs) return { retryAfterMs: state.untilMs - nowMs };
        this.#set(key, { type: 'probing', untilMs: nowMs + state.openMs, openMs: state.openMs });
        return 'probe';
      }
    }
  }

  succeeded(key: string): void {
    this.#states.delete(key);
  }

  failed(key: string): void {
    const state = this.#states.get(key) ?? closed;
    const { failures, openMs, maxOpenMs } = this.#options;
    if (state.type === 'open') return; // a straggler from before it opened
    if (state.type === 'probing') {
      this.#open(key, Math.min(maxOpenMs, state.openMs * 2));
    } else if (state.failuresInRow + 1 >= failures) {
      this.#open(key, openMs);
    } else {
      this.#set(key, { type: 'closed', failuresInRow: state.failuresInRow + 1 });
    }
  }

  /** The probe ended without saying anything about the far end (its client left): the next one probes. */
  abandoned(key: string): void {
    const state = this.#states.get(key);
    if (state?.type === 'probing')
      this.#set(key, { type: 'open', untilMs: this.#clock.monotonic(), openMs: state.openMs });
  }

  stateOf(key: string): State['type'] {
    return (this.#states.get(key) ?? closed).type;
  }

  #open(key: string, openMs: number): void {
    this.#set(key, { type: 'open', untilMs: this.#clock.monotonic() + openMs, openMs });
  }

  #set(key: string, state: State): void {
    const [oldest] = this.#states.keys();
    if (this.#states.size >= maxKeys && !this.#states.has(key) && oldest !== undefined)
      this.#states.delete(oldest);
    this.#states.set(key, state);
  }
}
