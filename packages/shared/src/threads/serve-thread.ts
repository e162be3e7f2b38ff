import { parentPort } from 'node:worker_threads';

/** What a thread of a `ThreadPool` and its owner say to each other. */
export type ThreadMessage =
  | { readonly type: 'ready'; readonly cpuMs: number }
  | {
      readonly type: 'done';
      readonly result: unknown;
      /** Of the thread since its start, milliseconds. */
      readonly cpuMs: number;
      /** The thread asks to be replaced: its memory has grown, or its state cannot be trusted. */
      readonly isSpent: boolean;
    };

/** Marks a result after which the thread is to be replaced. */
export class Spent<Result> {
  readonly result: Result;

  constructor(result: Result) {
    this.result = result;
  }
}

/** The inside of a pool's thread: answers one job after another. A handler that throws ends the thread. */
export function serveThread<Job, Result>(handle: (job: Job) => Result | Spent<Result>): void {
  const port = parentPort;
  if (port === null) throw new Error('This file is for a worker thread');
  port.on('message', (job: Job) => {
    const answer = handle(job);
    const isSpent = answer instanceof Spent;
    const done: ThreadMessage = {
      type: 'done',
      result: isSpent ? answer.result : answer,
      cpuMs: usedCpuMs(),
      isSpent,
    };
    port.postMessage(done);
  });
  port.postMessage({ type: 'ready', cpuMs: usedCpuMs() } satisfies ThreadMessage);
}

function usedCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
