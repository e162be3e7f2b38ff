import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pinned } from './processes.ts';

export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  /** Bounded in count: the run ends after this many requests. */
  readonly requests: number;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  /** From the request to the first byte of its answer. */
  readonly firstByteP50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 200, and connections that broke. A run with any is not a result. */
  readonly failures: number;
}

const loadCore = 1;

/** One load from a process of its own. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const [file = '', ...args] = pinned(loadCore, [
    process.execPath,
    join(import.meta.dirname, 'wire-load.ts'),
  ]);
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      URL: load.url,
      HEADERS: JSON.stringify(load.headers),
      BODY: load.body,
      CONNECTIONS: String(load.connections),
      REQUESTS: String(load.requests),
    },
  });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return JSON.parse(text) as LoadResult; // printed by wire-load.ts
}
