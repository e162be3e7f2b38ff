/** How late a coarse timer may be, where nothing else is said. */
export const coarsenessMs = 100;

/**
 * Timers for limits that are rarely met: several of them are set and cancelled for every request. Those that are due in the same moment wait
 * together, and only the first such moment has a timer of the system's; so setting and cancelling one costs about what it costs to put an object into a set
 * (a hashed timing wheel: Varghese and Lauck, 1987). None is early, and none is later than a moment lasts, besides what the event loop takes.
 */
export class CoarseTimers {
  /** By the number of the moment. A moment that nobody waits for any more goes when its time comes. */
  readonly #moments = new Map<number, Set<CoarseTimer>>();
  readonly #now: () => number;
  readonly #momentMs: number;
  #next: { readonly moment: number; readonly timer: NodeJS.Timeout } | undefined;

  /** `now`: milliseconds that never go back. */
  constructor(now: () => number = () => performance.now(), momentMs = coarsenessMs) {
    this.#now = now;
    this.#momentMs = momentMs;
  }

  schedule(ms: number, callback: () => void): CoarseTimer {
    const moment = Math.ceil((this.#now() + ms) / this.#momentMs);
    const waiting = this.#moments.get(moment) ?? this.#open(moment);
    const timer = new CoarseTimer(waiting, callback);
    waiting.add(timer);
    return timer;
  }

  /** Moments that are kept. */
  get pendingMoments(): number {
    return this.#moments.size;
  }

  #open(moment: number): Set<CoarseTimer> {
    const waiting = new Set<CoarseTimer>();
    this.#moments.set(moment, waiting);
    if (this.#next === undefined || moment < this.#next.moment) this.#wakeAt(moment);
    return waiting;
  }

  #wakeAt(moment: number): void {
    clearTimeout(this.#next?.timer);
    const leftMs = Math.max(0, moment * this.#momentMs - this.#now());
    const timer = setTimeout(() => this.#wake(), leftMs);
    timer.unref();
    this.#next = { moment, timer };
  }

  #wake(): void {
    this.#next = undefined;
    const now = this.#now() / this.#momentMs;
    const inOrder = [...this.#moments].sort(([left], [right]) => left - right);
    const due: CoarseTimer[] = [];
    for (const [moment, waiting] of inOrder) {
      if (moment > now && waiting.size > 0) {
        this.#wakeAt(moment);
        break;
      }
      this.#moments.delete(moment);
      due.push(...waiting);
    }
    for (const timer of due) timer.fire();
  }
}

class CoarseTimer {
  readonly #waiting: Set<CoarseTimer>;
  #callback: (() => void) | undefined;

  constructor(waiting: Set<CoarseTimer>, callback: () => void) {
    this.#waiting = waiting;
    this.#callback = callback;
  }

  /** Lets go of what it would have called: a set can keep what has left it for as long as it lives. */
  cancel(): void {
    this.#waiting.delete(this);
    this.#callback = undefined;
  }

  /** Not any more when one that fired before it has cancelled it. */
  fire(): void {
    if (this.#waiting.delete(this)) this.#callback?.();
  }
}
