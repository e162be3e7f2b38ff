import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Command } from '../domain/command.ts';
import type { RunEvent } from '../domain/run-events.ts';
import { type OpenTask, type RunState, taskKey } from '../domain/run-state.ts';
import { idempotencyKeyOf, type PerformDeps, performCall } from './perform.ts';
import type { RunTrace } from './run-trace.ts';
import type { RunWriter } from './run-writer.ts';

interface UnderWay {
  readonly task: OpenTask;
  readonly abort: AbortController;
}

export interface CallsOptions {
  readonly runId: string;
  readonly state: RunState;
  readonly trace: RunTrace;
  /** Fires when the run is lost. */
  readonly signal: AbortSignal;
  readonly onEnd: () => void;
}

/** The calls of one run that this worker has begun and not heard the end of. */
export class CallsUnderWay {
  readonly #options: CallsOptions;
  readonly #deps: PerformDeps;
  readonly #running = new Map<string, UnderWay>();
  #arrived: RunEvent[] = [];

  constructor(options: CallsOptions, deps: PerformDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get count(): number {
    return this.#running.size;
  }

  get hasArrived(): boolean {
    return this.#arrived.length > 0;
  }

  /** Durable before the effect: the records of all these calls, and everything before them, go to disk together. */
  async start({ task, start }: Extract<Command, { type: 'call' }>, writer: RunWriter): Promise<void> {
    const { runId, state, trace, signal } = this.#options;
    const { path, visit } = task;
    for (const { call, attempt } of start) {
      const { id, effect, label } = call;
      const key = idempotencyKeyOf(state.keyRun ?? runId, task, id);
      writer.record({ type: 'call-started', path, visit, call: id, effect, label, attempt, key });
    }
    await writer.flush();
    for (const { call, attempt } of start) {
      const name = `${taskKey(task)}:${call.id}`;
      const abort = new AbortController();
      const onProgress = (text: string) => {
        this.#arrived.push({ type: 'call-progressed', path, visit, call: call.id, text });
        this.#options.onEnd();
      };
      const callTrace = trace.call(task, { ...call, attempt });
      const parts = { runId, state, task, call, attempt, trace: callTrace, onProgress };
      this.#running.set(name, { task, abort });
      const either = AbortSignal.any([signal, abort.signal]);
      void performCall({ ...parts, signal: either }, this.#deps).then(event => {
        this.#running.delete(name);
        this.#arrived.push(event);
        this.#options.onEnd();
      });
    }
  }

  /** What came back, as far as somebody still waits for it: a task that is over has no use for what arrives late (F85). */
  takeArrived(): RunEvent[] {
    const arrived = this.#arrived;
    if (arrived.length === 0) return arrived;
    this.#arrived = [];
    const { tasks } = this.#options.state;
    return arrived.filter(event => {
      if (!('call' in event)) return false;
      return tasks.get(taskKey(event))?.calls.get(event.call)?.status === 'started';
    });
  }

  /** Calls off what nobody waits for any more. */
  cutOff(): void {
    const { tasks } = this.#options.state;
    for (const { task, abort } of this.#running.values()) {
      if (tasks.get(taskKey(task)) === task || abort.signal.aborted) continue;
      abort.abort(new GatewayError('cancelled', 'Nobody waits for the call.', { reason: 'task_ended' }));
    }
  }
}
