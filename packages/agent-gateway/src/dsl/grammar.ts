import type { Clock } from '@strata/shared/clock.ts';
import { ThreadPool } from '@strata/shared/threads/thread-pool.ts';
import type { Complaint, GrammarJob } from './grammar-job.ts';
import type { Mistakes } from './mistakes.ts';

/** The grammar of the specification, as its own SDK holds it. */
export interface Grammar {
  check(document: unknown, mistakes: Mistakes): Promise<void>;
  close(): Promise<void>;
}

const checkCpuMs = 2000;
const idleMs = 10_000;

/**
 * The SDK takes half a second and 40 MB to load, so it lives in a thread of its own that is started by the first submission and
 * ends when none has come for ten seconds.
 */
export function createGrammar(clock: Clock): Grammar {
  const pool = new ThreadPool({
    file: new URL('./grammar-thread.ts', import.meta.url),
    clock,
    size: 1,
    maxQueue: 200,
    maxHeapMiB: 256,
    idleMs,
  });
  return {
    async check(document, mistakes) {
      const job: GrammarJob = { document, known: mistakes.pointers };
      const complaints = await pool.run(job, { cpuLimitMs: checkCpuMs }).catch((error: unknown) => {
        if (mistakes.isEmpty) throw error;
        return []; // what is known is enough to refuse it
      });
      for (const { pointer, message } of complaints as Complaint[]) // what `grammar-thread.ts` answers
        if (!isKnown(pointer, job.known))
          mistakes.add(pointer, `Not valid by the specification: ${message}.`);
    },
    close: () => pool.close(),
  };
}

/** What was cut out leaves traces in what is around it. */
const isKnown = (pointer: string, known: readonly string[]) =>
  known.some(each => each === pointer || each.startsWith(`${pointer}/`));
