import { spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

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
  readonly p99Ms: number;
  /** Answers other than 2xx, and connections that broke. A run with any is not a result. */
  readonly failures: number;
}

const autocannon = createRequire(import.meta.url).resolve('autocannon');
const canPin = spawnSync('taskset', ['--version']).status === 0;
const loadCore = '1';

/** One load from a process of its own. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const headers = Object.entries(load.headers).flatMap(([name, value]) => ['-H', `${name}=${value}`]);
  const args = [
    autocannon,
    '--json',
    '-m',
    'POST',
    '-c',
    String(load.connections),
    '-a',
    String(load.requests),
    ...headers,
    '-b',
    load.body,
    load.url,
  ];
  const command = canPin
    ? ['taskset', '-c', loadCore, process.execPath, ...args]
    : [process.execPath, ...args];
  const [file = '', ...rest] = command;
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  const result = JSON.parse(text) as AutocannonResult;
  const seconds = (Date.parse(result.finish) - Date.parse(result.start)) / 1000;
  return {
    requestsPerSecond: result['2xx'] / seconds,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failures: result.non2xx + result.errors + result.timeouts,
  };
}

interface AutocannonResult {
  readonly start: string;
  readonly finish: string;
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly latency: { readonly p50: number; readonly p99: number };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
