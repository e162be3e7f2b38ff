import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a process holds at one look, once what nobody holds is collected. */
export interface HeapLook {
  /** Bytes in objects and in buffers. */
  readonly held: number;
  /** Bytes in buffers alone, which say exactly what waits for somebody to read it. */
  readonly buffers: number;
}

/** What a process is told that is to report. */
export function reportsHeap(file: string, everyMs: number): Record<string, string> {
  const reporter = join(import.meta.dirname, 'report-heap.ts');
  return {
    NODE_OPTIONS: `--expose-gc --import=${reporter}`,
    HEAP_FILE: file,
    HEAP_EVERY_MS: String(everyMs),
  };
}

export function heapLooks(file: string): HeapLook[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map(line => JSON.parse(line) as HeapLook); // as the reporter writes them
}

/** As the process says in its next look but one: the next may have begun before. */
export async function nextHeapLook(file: string): Promise<HeapLook> {
  const wanted = heapLooks(file).length + 2;
  for (;;) {
    const look = heapLooks(file)[wanted - 1];
    if (look !== undefined) return look;
    await sleep(50);
  }
}
