/** How late a coarse timer may be, where nothing else is said. */
export const coarsenessMs = 100;

/**
 * Timers for limits that are rarely met: several of them are set and cancelled for every request. Those that are due in the same moment wait
 * together, and only the first such moment has a timer of the system's; so setting and cancelling one costs about what it costs to put an object into a chain
 * (a hashed timing wheel: Varghese and Lauck, 1987). None is early, and none is later than a moment lasts, besides what the event loop takes.
 */
export class CoarseTimers {
  /** By the number of the moment. A moment that nobody waits for any more goes when its time comes. */
  readonly #moments = new Map<number, Moment>();
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

  #open(moment: number): Moment {
    const waiting = new Moment();
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
      if (moment > now && waiting.first !== undefined) {
        this.#wakeAt(moment);
        break;
      }
      this.#moments.delete(moment);
      for (let timer = waiting.first; timer !== undefined; timer = timer.after) due.push(timer);
    }
    for (const timer of due) timer.fire();
  }
}

/** Those that wait for one moment, chained in the order in which they came. */
class Moment {
  first: CoarseTimer | undefined;
  #last: CoarseTimer | undefined;

  add(timer: CoarseTimer): void {
    timer.before = this.#last;
    if (this.#last === undefined) this.first = timer;
    else this.#last.after = timer;
    this.#last = timer;
  }

  /** It must be one of them. It holds no other one then: whoever keeps it keeps nothing else. */
  remove(timer: CoarseTimer): void {
    const { before, after } = timer;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    timer.before = undefined;
    timer.after = undefined;
  }
}

class CoarseTimer {
  before: CoarseTimer | undefined;
  after: CoarseTimer | undefined;
  readonly #moment: Moment;
  /** Undefined once it has fired or was cancelled. */
  #callback: (() => void) | undefined;

  constructor(moment: Moment, callback: () => void) {
    this.#moment = moment;
    this.#callback = callback;
  }

  cancel(): void {
    if (this.#callback === undefined) return;
    this.#callback = undefined;
    this.#moment.remove(this);
  }

  /** Not any more when one that fired before it has cancelled it. */
  fire(): void {
    const callback = this.#callback;
    this.cancel();
    callback?.();
  }
}
