import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { CancelRun } from '@strata/shared/identity/revocation.ts';
import type { Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import { type Command, callsInDoubt, decide, type StartedCall } from '../domain/decide.ts';
import type { Expressions } from '../domain/expressions.ts';
import type { Claim, Journal } from '../domain/journal.ts';
import { toRunError } from '../domain/run-error.ts';
import type { RunEvent } from '../domain/run-events.ts';
import { type RunState, terminalStatuses } from '../domain/run-state.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import type { Workflow } from '../domain/workflow.ts';
import { answerRequest } from './answer-request.ts';
import { beginTask, completeTask, type TaskEvaluation } from './begin-task.ts';
import { idempotencyKeyOf, type PerformDeps, performCall } from './perform.ts';
import { RunTrace } from './run-trace.ts';
import { loadRun, RunWriter } from './run-writer.ts';

export interface DriverDeps extends PerformDeps {
  readonly journal: Journal;
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly telemetry: Telemetry;
  /** Ends what the run has under way at other gateways, should it not notice by itself that nobody waits any more. */
  readonly cancelRun: CancelRun;
  /** The definition that a run is pinned to. */
  loadWorkflow(hash: string): Promise<Workflow>;
}

interface Running {
  readonly ended: Promise<void>;
}

const postponeMs = 1000;

/**
 * Drives one run while this worker holds it: claim, decide, act, append, until nothing is left, or nothing is to be done for now,
 * or another worker took over. This is the only place in the gateway that loops.
 *
 * What has no effect outside is only collected. Before a call goes out, all that led to it and the fact that it starts are on
 * disk; what it gave is on disk before anything is done with it (AG-1).
 */
export class RunDriver {
  readonly #claim: Claim;
  readonly #deps: DriverDeps;
  readonly #lost = new AbortController();
  readonly #running = new Map<string, Running>();
  readonly #arrived: RunEvent[] = [];
  #wake: () => void = () => {};
  #isAsked = true;
  #isStopping = false;

  constructor(claim: Claim, deps: DriverDeps) {
    this.#claim = claim;
    this.#deps = deps;
  }

  /** Somebody asked something of the run. */
  ask(): void {
    this.#isAsked = true;
    this.#wake();
  }

  /** Start nothing more, wait for the calls under way, and let go. */
  stop(): void {
    this.#isStopping = true;
    this.#wake();
  }

  /** The run is not ours any more: drop everything. */
  abandon(reason: Error): void {
    this.#lost.abort(reason);
    this.#wake();
  }

  /** Resolves when this worker has nothing more to do with the run. */
  async drive(): Promise<void> {
    const { journal, clock } = this.#deps;
    const state = await loadRun(this.#claim.runId, journal);
    if (terminalStatuses.has(state.status)) return;
    const workflow = await this.#deps.loadWorkflow(state.definition);
    this.#deps.telemetry.log.debug({ runId: this.#claim.runId, epoch: this.#claim.epoch }, 'run claimed');
    const trace = new RunTrace(this.#deps.telemetry.tracer, { runId: this.#claim.runId, state });
    const writer = new RunWriter({ claim: this.#claim, state, journal, clock });
    if (!state.isStarted) writer.record({ type: 'run-started', traceparent: trace.traceparent });
    for (const event of callsInDoubt(state)) writer.record(event);
    try {
      await this.#loop({ state, workflow, trace, writer });
    } finally {
      this.#lost.abort(new GatewayError('cancelled', 'The run has ended.', { reason: 'run_ended' }));
      trace.end({ 'strata.run.status': state.status });
    }
  }

  async #loop(context: LoopContext): Promise<void> {
    const { state, workflow, writer } = context;
    for (;;) {
      if (this.#lost.signal.aborted) return;
      if (this.#isAsked) await this.#takeRequests(context);
      this.#takeArrived(context);
      if (this.#isStopping && this.#running.size === 0) {
        await this.#release(this.#deps.clock.now(), context);
        return;
      }
      const nowMs = this.#deps.clock.now();
      const command = decide(state, { workflow, types: this.#deps.types, nowMs });
      if ((await this.#follow(command, context)) === 'let-go') return;
      if (writer.isFull) await writer.flush();
    }
  }

  async #follow(command: Command, context: LoopContext): Promise<'go-on' | 'let-go'> {
    const { writer, state } = context;
    switch (command.type) {
      case 'begin':
        return this.#evaluate(context, command.node.path, command.visit, evaluation =>
          beginTask(command, evaluation),
        );
      case 'complete': {
        const { node, visit } = command.task;
        return this.#evaluate(context, node.path, visit, evaluation => completeTask(command, evaluation));
      }
      case 'record':
        for (const event of command.events) this.#record(event, context);
        return 'go-on';
      case 'await':
        return this.#await(command, context);
      case 'release':
        return this.#release(command.wakeAtMs, context);
      case 'stop':
        await writer.flush();
        this.#deps.telemetry.log.debug({ runId: this.#claim.runId, status: state.status }, 'run ended');
        if (state.status === 'cancelled') await this.#cancelCalls(state);
        return 'let-go';
    }
  }

  async #cancelCalls({ identity: { tenant } }: RunState): Promise<void> {
    const { runId } = this.#claim;
    try {
      await this.#deps.cancelRun({ tenant, runId });
    } catch (error) {
      this.#deps.telemetry.log.warn(
        { runId, err: error },
        'other gateways were not told that the run was cancelled',
      );
    }
  }

  /** Expressions may fail, which is the task's failure; that they are overloaded is not. */
  async #evaluate(
    context: LoopContext,
    path: string,
    visit: number,
    evaluate: (evaluation: TaskEvaluation) => Promise<RunEvent>,
  ): Promise<'go-on' | 'let-go'> {
    const { types, expressions, clock } = this.#deps;
    const { state, workflow } = context;
    const { runId } = this.#claim;
    try {
      this.#record(
        await evaluate({ runId, state, workflow, types, expressions, nowMs: clock.now() }),
        context,
      );
    } catch (error) {
      if (error instanceof GatewayError && error.reason === 'expression_busy')
        return this.#release(clock.now() + postponeMs, context);
      if (error instanceof GatewayError && error.reason === 'run_taken_over') throw error;
      this.#record({ type: 'task-failed', path, visit, error: toRunError(error, path) }, context);
    }
    return 'go-on';
  }

  async #await(command: Extract<Command, { type: 'await' }>, context: LoopContext): Promise<'go-on'> {
    if (!this.#isStopping && command.start.length > 0) await this.#startCalls(command.start, context);
    else await context.writer.flush();
    if (this.#arrived.length === 0) await this.#waitForNews(command.wakeAtMs);
    return 'go-on';
  }

  /** Durable before the effect: the records of all these calls, and everything before them, go to disk together. */
  async #startCalls(start: readonly StartedCall[], context: LoopContext): Promise<void> {
    const { writer, state } = context;
    const { task } = state;
    if (task === undefined) throw new Error('A call outside of a task');
    const { runId } = this.#claim;
    const { path, visit } = task;
    for (const { call, attempt } of start) {
      const { id, effect, label } = call;
      const key = idempotencyKeyOf(runId, task, id);
      writer.record({ type: 'call-started', path, visit, call: id, effect, label, attempt, key });
    }
    await writer.flush();
    for (const { call, attempt } of start) {
      const trace = context.trace.call(task, state.frames, { ...call, attempt });
      const { signal } = this.#lost;
      const ended = performCall({ runId, state, task, call, attempt, signal, trace }, this.#deps).then(
        event => {
          this.#running.delete(call.id);
          this.#arrived.push(event);
          this.#wake();
        },
      );
      this.#running.set(call.id, { ended });
    }
  }

  #takeArrived(context: LoopContext): void {
    for (const event of this.#arrived.splice(0)) {
      // A task that failed meanwhile, by its deadline or by a sibling, has no use for what arrives late (F85).
      const isWanted = 'call' in event && context.state.task?.path === event.path;
      if (isWanted && context.state.task?.visit === event.visit) context.writer.record(event);
    }
  }

  #record(event: RunEvent, { writer, trace, state }: LoopContext): void {
    writer.record(event);
    if (event.type === 'task-completed') trace.taskEnded(event);
    if (event.type === 'task-failed') {
      trace.taskEnded(event, event.error.reason);
      for (const frame of state.frames) trace.taskEnded(frame, event.error.reason);
    }
  }

  async #takeRequests({ state, writer }: LoopContext): Promise<void> {
    this.#isAsked = false;
    const requests = await this.#deps.journal.requests(this.#claim.runId);
    for (const request of requests) {
      writer.consume(request.id);
      for (const event of answerRequest(request, state)) writer.record(event);
    }
  }

  async #release(wakeAtMs: number, context: LoopContext): Promise<'let-go'> {
    const { journal, clock } = this.#deps;
    const { writer, state } = context;
    await writer.flush();
    const status = state.status === 'in_doubt' ? 'in_doubt' : 'waiting';
    await journal.release(this.#claim, { wakeAtMs, status, nowMs: clock.now() });
    return 'let-go';
  }

  /** Until a call ends, somebody asks, this worker loses the run, or the time has come. */
  async #waitForNews(wakeAtMs: number): Promise<void> {
    if (this.#isAsked || this.#lost.signal.aborted) return;
    const { clock } = this.#deps;
    let timer: Scheduled | undefined;
    await new Promise<void>(resolve => {
      this.#wake = resolve;
      timer = scheduleAt(clock, wakeAtMs, resolve);
    });
    this.#wake = () => {};
    timer?.cancel();
  }
}

interface LoopContext {
  readonly state: RunState;
  readonly workflow: Workflow;
  readonly trace: RunTrace;
  readonly writer: RunWriter;
}

/** Timers of Node hold 24.8 days at most. */
const maxTimerMs = 2_000_000_000;

function scheduleAt(clock: Clock, atMs: number, callback: () => void): Scheduled {
  return clock.schedule(Math.min(maxTimerMs, Math.max(0, atMs - clock.now())), callback);
}
