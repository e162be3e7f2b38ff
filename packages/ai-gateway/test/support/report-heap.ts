import { appendFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/**
 * Loaded into a process by `--import`: after each interval it collects what nobody holds any more and appends to the file HEAP_FILE, on a line, how many
 * bytes are held all the same, buffers included.
 */
const { HEAP_FILE: file = '', HEAP_EVERY_MS: everyMs = '1000' } = process.env;

if (isMainThread && file !== '') {
  setInterval(() => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    appendFileSync(file, `${heapUsed + external}\n`);
  }, Number(everyMs)).unref();
}
