import type { Clock } from '@strata/shared/clock.ts';
import { ThreadPool } from '@strata/shared/threads/thread-pool.ts';
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
      const complaint = await pool.run(document, { cpuLimitMs: checkCpuMs });
      if (typeof complaint === 'string') reportDeepest(complaint, mistakes);
    },
    close: () => pool.close(),
  };
}

/**
 * The validator complains once for every kind of task that a task is not. Our own check has spoken before, so this is the last
 * word only for what it does not know: the deepest place is the nearest to the mistake.
 */
function reportDeepest(complaint: string, mistakes: Mistakes): void {
  const lines = [...complaint.matchAll(/^- (\S*) \| (\S+) \| ([^|]+) \|/gm)].map(
    ([, pointer = '', , message = '']) => ({ pointer, message: message.trim() }),
  );
  const depth = (pointer: string) => pointer.split('/').length;
  const deepest = Math.max(0, ...lines.map(line => depth(line.pointer)));
  const nearest = lines.filter(line => depth(line.pointer) === deepest).slice(0, 5);
  for (const { pointer, message } of nearest)
    mistakes.add(pointer, `Not valid by the specification: ${message}.`);
  if (nearest.length === 0) mistakes.add('', 'Not valid by the specification.');
}
