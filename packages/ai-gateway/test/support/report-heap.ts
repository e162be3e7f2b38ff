import { appendFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { HeapLook } from './heap-report.ts';

/**
 * Loaded into a process by `--import`: after each interval it collects what nobody holds any more and appends to the file HEAP_FILE, on a line, how many
 * bytes are held all the same (`HeapLook`).
 */
const { HEAP_FILE: file = '', HEAP_EVERY_MS: everyMs = '1000' } = process.env;

if (isMainThread && file !== '') {
  setInterval(() => {
    globalThis.gc?.();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const look: HeapLook = { held: heapUsed + external, buffers: arrayBuffers };
    appendFileSync(file, `${JSON.stringify(look)}\n`);
  }, Number(everyMs)).unref();
}
