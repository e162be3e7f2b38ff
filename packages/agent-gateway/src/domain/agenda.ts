import { type Branch, type OpenTask, type RunState, taskKey } from './run-state.ts';

export type Unit = OpenTask | Branch;

interface Timer {
  readonly atMs: number;
  readonly unit: Unit;
}

/**
 * Where in a run something can be decided. Looking at every open task after every record would make a run with a thousand
 * branches a thousand times as slow; so only what the fold touched is looked at, and what waits for a time when it has come.
 * Nothing here is state: made anew from a fold, it leads to the same decisions.
 */
export class Agenda {
  readonly #state: RunState;
  readonly #due = new Set<Unit>();
  readonly #timers: Timer[] = [];
  readonly #listeners = new Set<Unit>();
  #lastReceipt: number;

  constructor(state: RunState) {
    this.#state = state;
    for (const task of state.tasks.values()) this.#due.add(task);
    for (const list of state.lists.values()) this.#due.add(list);
    state.touched.clear();
    this.#lastReceipt = state.lastReceipt;
  }

  /** What is to be looked at next; it stays due until it is settled or gone. */
  next(nowMs: number): Unit | undefined {
    for (const unit of this.#state.touched) this.#due.add(unit);
    this.#state.touched.clear();
    this.#wakeTimers(nowMs);
    this.#wakeListeners();
    for (const unit of this.#due) {
      if (this.#isOpen(unit)) return unit;
      this.#due.delete(unit);
    }
    return undefined;
  }

  /** Nothing is to be done there before that time, unless a record touches it. */
  settle(unit: Unit, { untilMs, isListening }: { untilMs: number; isListening?: boolean }): void {
    this.#due.delete(unit);
    if (isListening) this.#listeners.add(unit);
    if (untilMs !== Number.POSITIVE_INFINITY) push(this.#timers, { atMs: untilMs, unit });
  }

  /** When the next unit is due. */
  get wakeAtMs(): number {
    for (;;) {
      const [first] = this.#timers;
      if (first === undefined) return Number.POSITIVE_INFINITY;
      if (this.#isOpen(first.unit)) return first.atMs;
      pop(this.#timers);
    }
  }

  #wakeTimers(nowMs: number): void {
    for (let [first] = this.#timers; first !== undefined && first.atMs <= nowMs; [first] = this.#timers) {
      pop(this.#timers);
      this.#due.add(first.unit);
    }
  }

  #wakeListeners(): void {
    if (this.#state.lastReceipt === this.#lastReceipt) return;
    this.#lastReceipt = this.#state.lastReceipt;
    for (const unit of this.#listeners) this.#due.add(unit);
    this.#listeners.clear();
  }

  #isOpen(unit: Unit): boolean {
    return 'owner' in unit
      ? this.#state.lists.get(unit.id) === unit
      : this.#state.tasks.get(taskKey(unit)) === unit;
  }
}

/** A binary heap with the earliest time at its top. */
function push(heap: Timer[], timer: Timer): void {
  let at = heap.push(timer) - 1;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (timeAt(heap, above) <= timer.atMs) break;
    swap(heap, at, above);
    at = above;
  }
}

function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  heap[0] = last;
  for (let at = 0; ; ) {
    const left = 2 * at + 1;
    const below = timeAt(heap, left + 1) < timeAt(heap, left) ? left + 1 : left;
    if (timeAt(heap, below) >= last.atMs) return;
    swap(heap, at, below);
    at = below;
  }
}

const timeAt = (heap: readonly Timer[], at: number) => heap[at]?.atMs ?? Number.POSITIVE_INFINITY;

function swap(heap: Timer[], one: number, other: number): void {
  const [first, second] = [heap[one], heap[other]];
  if (first === undefined || second === undefined) return;
  heap[one] = second;
  heap[other] = first;
}
