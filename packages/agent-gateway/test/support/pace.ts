import { setImmediate as afterIo } from 'node:timers/promises';
import type { ManualClock } from '@strata/shared/testing/manual-clock.ts';
import type { Journal } from '../../src/domain/journal.ts';

/** Does something with a call to the journal, or with what it gives. */
export type Pass = <Value>(call: () => Promise<Value>) => Promise<Value>;

/** A journal whose calls go through `pass`. */
export function passing(journal: Journal, pass: Pass): Journal {
  return new Proxy(journal, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      if (typeof value !== 'function' || name === 'onAppend' || name === 'onDue') return value;
      return (...values: unknown[]) => pass(async () => value.apply(target, values));
    },
  });
}

/**
 * Time stands while a call to the journal is on its way. What a worker does is such a call, what follows from one at once, or a timer of
 * the clock: so however slow the machine and its disk are, no lease runs out and no timer is late because of them.
 */
export function createPace(clock: ManualClock) {
  const underWay = new Set<Promise<unknown>>();
  const counted: Pass = async call => {
    const made = call();
    underWay.add(made);
    try {
      return await made;
    } finally {
      underWay.delete(made);
    }
  };
  const quiet = async (): Promise<void> => {
    do {
      await Promise.allSettled(underWay);
      await afterIo(); // what follows from the answers
    } while (underWay.size > 0);
  };
  return {
    watch: (journal: Journal): Journal => passing(journal, counted),
    /** Until nobody can do anything before time passes. */
    quiet,
    /** One timer after the other, each when all that came of those before it is done. */
    async pass(ms: number): Promise<void> {
      const endMs = clock.monotonic() + ms;
      for (;;) {
        await quiet();
        const leftMs = endMs - clock.monotonic();
        const { nextInMs } = clock;
        if (nextInMs === undefined || nextInMs > leftMs) return clock.advance(leftMs);
        await clock.advanceToNext();
      }
    },
    /** Time passes, timer by timer, until it has come about. */
    async until(isDone: () => boolean | Promise<boolean>): Promise<void> {
      for (;;) {
        await quiet();
        if (await isDone()) return;
        if (!(await clock.advanceToNext())) throw new Error('Nothing is due any more');
      }
    },
  };
}
