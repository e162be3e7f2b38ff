import { createRequire } from 'node:module';
import { workerData } from 'node:worker_threads';
import { Spent, serveThread } from '@strata/shared/threads/serve-thread.ts';
import type { JqAnswer, JqJob } from './jq-job.ts';

interface Jq {
  /** What jq prints; undefined when it prints nothing. */
  raw(json: string, filter: string, flags: readonly string[]): string | undefined;
}

const { maxMemoryBytes } = workerData as { maxMemoryBytes: number }; // set by the pool that starts this file
const pageBytes = 65_536;
/** A thread whose memory has grown past this share is replaced after the job: WebAssembly never gives memory back. */
const spentShare = 0.5;

let memoryBytes = 0;
limitMemory();
// What expressions print with `debug`, and what the runtime says when it aborts, is for nobody.
console.warn = console.error = console.log = () => {};

const jq = (await createRequire(import.meta.url)('jq-web')) as Jq; // the package has no types

run('.', 'null', 100); // compiles what every program runs through, before a job's time is counted

serveThread<JqJob, JqAnswer>(({ program, input, maxOutputBytes }) => {
  const answer = run(program, input, maxOutputBytes);
  const isSpent = answer.type === 'crashed' || memoryBytes > maxMemoryBytes * spentShare;
  return isSpent ? new Spent(answer) : answer;
});

function run(program: string, input: string, maxOutputBytes: number): JqAnswer {
  try {
    const output = jq.raw(input, program, ['-c']) ?? '';
    return output.length > maxOutputBytes ? { type: 'too-large' } : { type: 'output', output };
  } catch (error) {
    const { exitCode, stderr } = error as { exitCode?: number; stderr?: string }; // what the package puts there
    const message = (stderr ?? '').replaceAll('undefined', '').replace(/^jq: error( \(at [^)]*\))?:? ?/, '');
    if (exitCode === 3) return { type: 'invalid', message: message.split('\n')[0]?.trim() ?? '' };
    if (exitCode === 5) return { type: 'failed', message: message.trim().slice(0, 500) };
    return { type: 'crashed' };
  }
}

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** jq has no limit of its own. An allocation that is refused makes it abort, and the thread is replaced. */
function limitMemory(): void {
  // TypeScript knows WebAssembly only as a part of the browser.
  const { prototype } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: Memory } } })
    .WebAssembly.Memory;
  const { grow } = prototype;
  prototype.grow = function (pages) {
    memoryBytes = this.buffer.byteLength + pages * pageBytes;
    if (memoryBytes > maxMemoryBytes) throw new RangeError('Out of memory');
    return grow.call(this, pages);
  };
}
