import type { Clock } from '../clock.ts';
import { cleanupDelayMs } from './hot-rules.ts';

/** Roughly what maps of one store may take up together. */
export interface MemoryBudget {
  readonly maxBytes: number;
  usedBytes: number;
}

interface Entry<T> {
  readonly value: T;
  readonly expiresAtMs: number;
  readonly bytes: number;
}

/** Objects, map slots and strings around the text itself. */
const entryOverheadBytes = 150;
const sweptPerChange = 4;

/** A map whose entries end by the wall clock. Ended ones are removed in passing, a few with each change: no timer, and no long pause. */
export class ExpiringMap<T> {
  readonly #clock: Clock;
  readonly #budget: MemoryBudget;
  readonly #entries = new Map<string, Entry<T>>();
  #sweeper = this.#entries.entries();

  constructor(clock: Clock, budget: MemoryBudget) {
    this.#clock = clock;
    this.#budget = budget;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresAtMs > this.#clock.now() ? entry.value : undefined;
  }

  set(key: string, value: T, options: { readonly ttlMs: number; readonly textLength: number }): void {
    this.delete(key);
    const bytes = entryOverheadBytes + 2 * (key.length + options.textLength);
    this.#entries.set(key, { value, bytes, expiresAtMs: this.#clock.now() + options.ttlMs });
    this.#budget.usedBytes += bytes;
    this.#sweep(sweptPerChange, cleanupDelayMs);
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#budget.usedBytes -= entry.bytes;
    return this.#entries.delete(key);
  }

  /** Removes all that have ended. */
  removeEnded(): void {
    this.#sweep(this.#entries.size + 1, 0);
  }

  /** Removes the entries set longest ago until the budget is kept or none is left. */
  evict(): void {
    for (const key of this.#entries.keys()) {
      if (this.#budget.usedBytes <= this.#budget.maxBytes) return;
      this.delete(key);
    }
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.delete(key);
  }

  /** Looks at the next `count` entries, beginning anew after the last, and removes those that ended that long ago. */
  #sweep(count: number, endedForMs: number): void {
    const endedAtMs = this.#clock.now() - endedForMs;
    for (let index = 0; index < count; index++) {
      const next = this.#sweeper.next();
      if (next.done) {
        this.#sweeper = this.#entries.entries();
        continue;
      }
      const [key, entry] = next.value;
      if (entry.expiresAtMs <= endedAtMs) this.delete(key);
    }
  }
}
