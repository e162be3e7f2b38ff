import { Worker } from 'node:worker_threads';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { ThreadMessage } from './serve-thread.ts';

export interface ThreadPoolOptions {
  /** The file that calls `serveThread`. */
  readonly file: URL;
  readonly clock: Clock;
  readonly size: number;
  /** Jobs that may wait; one more is refused. */
  readonly maxQueue: number;
  readonly maxHeapMiB: number;
  /** A thread without work ends after this long. Never when undefined. */
  readonly idleMs?: number;
  /** Handed to the thread as `workerData`. */
  readonly data?: unknown;
}

interface Job {
  readonly input: unknown;
  readonly cpuLimitMs: number;
  resolve(result: unknown): void;
  reject(error: GatewayError): void;
}

interface Thread {
  readonly worker: Worker;
  isReady: boolean;
  cpuMs: number;
  job: Job | undefined;
  startedAtMs: number;
  timer: Scheduled | undefined;
}

/** A machine under load may make an honest job wait for a core; past this many times its CPU limit it ends all the same. */
const maxWallFactor = 20;
const minCheckMs = 5;
/** What a thread makes and throws away. The default of V8 lets each of them keep 48 MiB of it. */
const maxYoungGenerationSizeMb = 8;
/** A busy thread answers at once on an idle machine; on a crowded one its answer has to wait for a core too. */
const cpuAnswerMs = 250;

/**
 * Runs untrusted, synchronous work in threads, with a limit on CPU time that is enforced from outside: a thread that does not
 * come back is terminated and replaced, and nobody else's job is harmed (G1, G2).
 */
export class ThreadPool {
  readonly #options: ThreadPoolOptions;
  readonly #threads = new Set<Thread>();
  readonly #queue: Job[] = [];
  #isClosed = false;

  constructor(options: ThreadPoolOptions) {
    this.#options = options;
  }

  /** @throws GatewayError timeout (`thread_timeout`), overloaded (`thread_queue_full`), too_large (`thread_died`). */
  run(input: unknown, limits: { readonly cpuLimitMs: number }): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed || this.#queue.length >= this.#options.maxQueue) {
        reject(
          new GatewayError('overloaded', 'Too much work waits for a thread.', {
            reason: 'thread_queue_full',
          }),
        );
        return;
      }
      this.#queue.push({ input, cpuLimitMs: limits.cpuLimitMs, resolve, reject });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const threads = [...this.#threads];
    for (const job of this.#queue.splice(0)) job.reject(died('The pool was closed.'));
    await Promise.all(threads.map(thread => this.#retire(thread, died('The pool was closed.'))));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const idle = [...this.#threads].find(thread => thread.isReady && thread.job === undefined);
      if (idle === undefined) {
        const starting = [...this.#threads].filter(thread => !thread.isReady).length;
        if (this.#threads.size < this.#options.size && starting < this.#queue.length) this.#start();
        return;
      }
      const job = this.#queue.shift();
      if (job !== undefined) this.#give(idle, job);
    }
  }

  #start(): void {
    const { file, maxHeapMiB, data } = this.#options;
    const worker = new Worker(file, {
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMiB, maxYoungGenerationSizeMb },
      env: compileCache(),
      stdout: true,
      stderr: true,
      workerData: data,
      execArgv: [],
    });
    worker.unref();
    const thread: Thread = {
      worker,
      isReady: false,
      cpuMs: 0,
      job: undefined,
      startedAtMs: 0,
      timer: undefined,
    };
    this.#threads.add(thread);
    worker.on('message', (message: ThreadMessage) => this.#onMessage(thread, message));
    worker.on('error', error => {
      void this.#retire(thread, died('The thread ran out of memory or broke.', error));
    });
    worker.on('exit', () => {
      void this.#retire(thread, died('The thread ended.'));
    });
  }

  #onMessage(thread: Thread, message: ThreadMessage): void {
    if (message.type === 'ready') {
      thread.isReady = true;
      thread.cpuMs = message.cpuMs; // its first job does not pay for its start
      this.#rest(thread);
      this.#dispatch();
      return;
    }
    const { job } = thread;
    thread.timer?.cancel();
    thread.job = undefined;
    thread.cpuMs = message.cpuMs;
    job?.resolve(message.result);
    if (message.isSpent) void this.#retire(thread, died('The thread is spent.'));
    else this.#rest(thread);
    this.#dispatch();
  }

  #give(thread: Thread, job: Job): void {
    thread.timer?.cancel();
    thread.job = job;
    thread.startedAtMs = this.#options.clock.monotonic();
    thread.worker.postMessage(job.input);
    this.#watch(thread, job, job.cpuLimitMs);
  }

  /** Looks after `ms` whether the job has used up its time. */
  #watch(thread: Thread, job: Job, ms: number): void {
    const { clock } = this.#options;
    thread.timer = clock.schedule(ms, () => {
      void this.#cpuLeft(thread, job).then(leftMs => {
        if (thread.job !== job) return;
        const tookMs = clock.monotonic() - thread.startedAtMs;
        if (leftMs > 0 && tookMs < job.cpuLimitMs * maxWallFactor) {
          this.#watch(thread, job, Math.max(minCheckMs, leftMs));
          return;
        }
        const error = new GatewayError('timeout', `The work took longer than ${job.cpuLimitMs} ms.`, {
          reason: 'thread_timeout',
        });
        void this.#retire(thread, error).then(() => this.#dispatch());
      });
    });
  }

  async #cpuLeft(thread: Thread, job: Job): Promise<number> {
    const answer = thread.worker.cpuUsage().then(
      ({ user, system }) => job.cpuLimitMs - ((user + system) / 1000 - thread.cpuMs),
      () => 0,
    );
    // A thread that cannot even be asked is as good as stuck.
    return Promise.race([answer, this.#options.clock.sleep(cpuAnswerMs).then(() => 0)]);
  }

  #rest(thread: Thread): void {
    const { idleMs, clock } = this.#options;
    if (idleMs === undefined || thread.job !== undefined) return;
    thread.timer = clock.schedule(idleMs, () => {
      if (thread.job === undefined) void this.#retire(thread, died('The thread was idle.'));
    });
  }

  async #retire(thread: Thread, error: GatewayError): Promise<void> {
    if (!this.#threads.delete(thread)) return;
    thread.timer?.cancel();
    const { job } = thread;
    thread.job = undefined;
    job?.reject(error);
    if (!this.#isClosed) this.#dispatch();
    await thread.worker.terminate();
  }
}

/** Nothing of the environment is for such work but where Node keeps compiled code: without it each thread compiles its files anew, at 20 MB. */
function compileCache(): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE: folder } = process.env;
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}

function died(message: string, cause?: unknown): GatewayError {
  return new GatewayError('too_large', message, { reason: 'thread_died', cause });
}
