import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { CancelRun } from '@strata/shared/identity/revocation.ts';
import type { Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import { Agenda } from '../domain/agenda.ts';
import type { AgentPrice } from '../domain/agent-fee.ts';
import type { Policy } from '../domain/authority.ts';
import type { Command } from '../domain/command.ts';
import type { DataSchemas } from '../domain/data-schemas.ts';
import { decideRun, decideUnit } from '../domain/decide.ts';
import { callsInDoubt } from '../domain/decide-calls.ts';
import type { Expressions } from '../domain/expressions.ts';
import type { Claim, Journal, RunRequest } from '../domain/journal.ts';
import { queuedUntil } from '../domain/queue.ts';
import { toRunError } from '../domain/run-error.ts';
import type { RunEvent } from '../domain/run-events.ts';
import { type RunState, shownStatus, terminalStatuses } from '../domain/run-state.ts';
import type { TaskTypes } from '../domain/task-type.ts';
import type { Workflow } from '../domain/workflow.ts';
import { answerRequest } from './answer-request.ts';
import { beginTask, completeTask, matchEvent, openList, type TaskEvaluation } from './begin-task.ts';
import { CallsUnderWay } from './calls-under-way.ts';
import { answerMigration } from './migrate-run.ts';
import { type DriverJournal, patientJournal, patiently } from './patient-journal.ts';
import type { PerformDeps } from './perform.ts';
import { reserveTasks } from './reserve-tasks.ts';
import { RunTrace } from './run-trace.ts';
import { loadRun, RunWriter, readAll } from './run-writer.ts';
import { planChildRun } from './spawn-run.ts';

export interface DriverDeps extends PerformDeps {
  readonly journal: Journal;
  readonly types: TaskTypes;
  readonly expressions: Expressions;
  readonly schemas: DataSchemas;
  /** May the run do what it is about to? */
  readonly policy: Policy;
  readonly agentPrices: () => readonly AgentPrice[];
  readonly telemetry: Telemetry;
  /** Ends what the run has under way at other gateways, should it not notice by itself that nobody waits any more. */
  readonly cancelRun: CancelRun;
  /** The definition that a run is pinned to. */
  loadWorkflow(hash: string): Promise<Workflow>;
}

const postponeMs = 1000;
/** Reasons that say nothing of the task: it is tried again a little later. */
const passing: ReadonlySet<string> = new Set(['expression_busy', 'journal_unavailable']);
/** The last moment that a date can be (ECMA-262 21.4.1.1): such a run waits for somebody, not for a time. */
export const neverMs = 8_640_000_000_000_000;

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
  #wake: () => void = () => {};
  #isAsked = false;
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
    const { clock, random } = this.#deps;
    const { runId } = this.#claim;
    const patience = { clock, random, signal: this.#lost.signal };
    const journal = patientJournal(this.#deps.journal, patience);
    const [state, requests] = await Promise.all([
      loadRun(runId, journal).catch((error: unknown) => this.#park(error, journal)),
      journal.requests(runId),
    ]);
    if (state === undefined) return;
    if (terminalStatuses.has(state.status)) return this.#revive({ state, requests }, journal);
    const workflow = await patiently(() => this.#deps.loadWorkflow(state.definition), patience);
    this.#deps.telemetry.log.debug({ runId, epoch: this.#claim.epoch }, 'run claimed');
    const trace = new RunTrace(this.#deps.telemetry.tracer, { runId, state });
    const writer = new RunWriter({ claim: this.#claim, state, journal, clock });
    const calls = new CallsUnderWay(
      { runId, state, trace, signal: this.#lost.signal, onEnd: () => this.#wake() },
      this.#deps,
    );
    if (!state.isStarted && !this.#claim.isQueued)
      writer.record({ type: 'run-started', traceparent: trace.traceparent });
    for (const event of callsInDoubt(state)) writer.record(event);
    const context = {
      claim: this.#claim,
      state,
      workflow,
      trace,
      writer,
      calls,
      journal,
      agenda: new Agenda(state),
    };
    try {
      await this.#takeRequests(context, requests);
      await this.#loop(context);
    } finally {
      this.#lost.abort(new GatewayError('cancelled', 'The run has ended.', { reason: 'run_ended' }));
      trace.end({ 'strata.run.status': state.status });
    }
  }

  /** Nothing is done from a journal that is not what was written: somebody has to look at it, and asks the run when that is mended. */
  async #park(error: unknown, journal: DriverJournal): Promise<undefined> {
    if (!(error instanceof GatewayError) || error.reason !== 'journal_corrupt') throw error;
    const { clock, telemetry } = this.#deps;
    telemetry.log.error({ runId: this.#claim.runId, err: error }, 'a run was parked, its journal is damaged');
    const nowMs = clock.now();
    const parked = { wakeAtMs: neverMs, isParked: true, status: 'in_doubt', nowMs } as const;
    await journal.release(this.#claim, parked);
  }

  /** Ended runs are claimed when a rewind was asked for. What the run is then is folded by the next claim. */
  async #revive(
    { state, requests }: { state: RunState; requests: readonly RunRequest[] },
    journal: DriverJournal,
  ): Promise<void> {
    const { clock } = this.#deps;
    const writer = new RunWriter({ claim: this.#claim, state, journal, clock });
    for (const request of requests) {
      writer.consume(request.id);
      for (const event of answerRequest(request, state)) writer.record(event);
    }
    await writer.flush();
    if (terminalStatuses.has(state.status)) return;
    const nowMs = clock.now();
    const queuedUntilMs = queuedUntil(state);
    await journal.release(this.#claim, { wakeAtMs: nowMs, queuedUntilMs, status: 'running', nowMs });
  }

  async #loop(context: LoopContext): Promise<void> {
    const { writer, calls } = context;
    for (;;) {
      if (this.#lost.signal.aborted) return;
      if (this.#isAsked) await this.#takeRequests(context);
      for (const event of calls.takeArrived()) writer.record(event);
      if (this.#isStopping && calls.count === 0) {
        await this.#release(this.#deps.clock.now(), context);
        return;
      }
      if ((await this.#step(context)) === 'let-go') return;
      if (writer.isFull) await writer.flush();
    }
  }

  /** Decides one thing and does it. */
  async #step(context: LoopContext): Promise<'go-on' | 'let-go'> {
    const { state, workflow, agenda, calls } = context;
    const nowMs = this.#deps.clock.now();
    const options = { workflow, types: this.#deps.types, nowMs };
    const whole = decideRun(state, options);
    if (whole?.type === 'wait') return this.#rest(whole.untilMs, context);
    if (this.#mustQueue(whole, state)) return this.#release(nowMs, context, queuedUntil(state));
    if (whole !== undefined) return this.#follow(whole, context);
    const unit = this.#isStopping ? undefined : agenda.next(nowMs);
    if (unit === undefined)
      return this.#rest(Math.min(agenda.wakeAtMs, state.deadlineAtMs, state.expiresAtMs), context);
    const command = decideUnit(state, unit, options);
    if (command.type === 'wait') {
      agenda.settle(unit, command);
      return 'go-on';
    }
    const result = await this.#follow(command, context);
    if (command.type === 'record' || command.type === 'complete') calls.cutOff();
    return result;
  }

  /** What was asked is answered, and a run that is called off ends; all else waits for the queue. */
  #mustQueue(whole: Command | undefined, { isCancelRequested }: RunState): boolean {
    if (!this.#claim.isQueued || isCancelRequested) return false;
    return whole === undefined || whole.type === 'begin';
  }

  async #follow(command: Command, context: LoopContext): Promise<'go-on' | 'let-go'> {
    const { writer, state } = context;
    switch (command.type) {
      case 'begin': {
        const { node, visit, branch } = command;
        const of = { path: node.path, visit, ...(branch !== undefined && { branch: branch.id }) };
        return this.#evaluate(context, of, evaluation => beginTask(command, evaluation));
      }
      case 'complete': {
        const { node, visit } = command.task;
        const of = { path: node.path, visit };
        return this.#evaluate(context, of, evaluation => completeTask(command, evaluation));
      }
      case 'open': {
        const { path, visit } = command.task;
        for (const branch of command.branches) {
          const open = (evaluation: TaskEvaluation) => openList(command.task, branch, evaluation);
          if ((await this.#evaluate(context, { path, visit }, open)) === 'let-go') return 'let-go';
          if (!state.tasks.has(`${path}#${visit}`)) break; // its condition could not be evaluated
        }
        return 'go-on';
      }
      case 'match': {
        const { path, visit } = command.task;
        const match = (evaluation: TaskEvaluation) => matchEvent(command.task, command, evaluation);
        return this.#evaluate(context, { path, visit }, match);
      }
      case 'spawn': {
        const { path, visit } = command.task;
        return this.#evaluate(context, { path, visit }, async () => {
          const { runId } = this.#claim;
          const of = { runId, state, nowMs: this.#deps.clock.now() };
          const run = await planChildRun(command.child, of, this.#deps);
          writer.spawn(run);
          const isDetached = command.child.isDetached ? { isDetached: true as const } : {};
          const { heldTasks: givenTasks } = run.event;
          const given = givenTasks === undefined ? {} : { givenTasks };
          return { type: 'child-started', path, visit, runId: run.id, ...isDetached, ...given };
        });
      }
      case 'record':
        for (const event of command.events) this.#record(event, context);
        return 'go-on';
      case 'reserve':
        await reserveTasks(command, context);
        return 'go-on';
      case 'call':
        await context.calls.start(command, writer);
        return 'go-on';
      case 'wait':
        return this.#rest(command.untilMs, context);
      case 'stop':
        await writer.flush();
        this.#deps.telemetry.log.debug({ runId: this.#claim.runId, status: state.status }, 'run ended');
        if (state.status === 'cancelled' || state.status === 'terminated') await this.#cancelCalls(state);
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
    of: { readonly path: string; readonly visit: number; readonly branch?: number },
    evaluate: (evaluation: TaskEvaluation) => Promise<RunEvent>,
  ): Promise<'go-on' | 'let-go'> {
    const { types, expressions, schemas, policy, agentPrices, clock } = this.#deps;
    const { state, workflow } = context;
    const { runId } = this.#claim;
    try {
      const evaluation = {
        runId,
        state,
        workflow,
        types,
        expressions,
        schemas,
        policy,
        agentPrices: agentPrices(),
        nowMs: clock.now(),
      };
      this.#record(await evaluate(evaluation), context);
    } catch (error) {
      if (error instanceof GatewayError && passing.has(error.reason))
        return this.#release(clock.now() + postponeMs, context);
      this.#record({ type: 'task-failed', ...of, error: toRunError(error, of.path) }, context);
    }
    return 'go-on';
  }

  /** Nothing is to be decided now. */
  async #rest(untilMs: number, context: LoopContext): Promise<'go-on' | 'let-go'> {
    const { calls, writer } = context;
    if (calls.count === 0 && !calls.hasArrived) {
      if (this.#isAsked) return 'go-on';
      return this.#release(Math.min(untilMs, neverMs), context);
    }
    await writer.flush();
    if (!calls.hasArrived) await this.#waitForNews(untilMs);
    return 'go-on';
  }

  #record(event: RunEvent, { writer, trace }: LoopContext): void {
    writer.record(event);
    if (event.type === 'task-completed') trace.taskEnded(event);
    if (event.type === 'task-failed') trace.taskEnded(event, event.error.reason);
  }

  async #takeRequests(context: LoopContext, given?: readonly RunRequest[]): Promise<void> {
    const { state, writer, calls, journal } = context;
    if (given === undefined) this.#isAsked = false;
    const requests = given ?? (await journal.requests(this.#claim.runId));
    for (const request of requests) {
      if (writer.hasConsumed(request.id)) continue;
      const migration = request.kind === 'migrate' ? await this.#migration(request, context) : undefined;
      const events = migration === undefined ? answerRequest(request, state) : [migration.event];
      writer.consume(request.id);
      for (const event of events) writer.record(event);
      context.workflow = migration?.workflow ?? context.workflow;
    }
    calls.cutOff();
  }

  async #migration(request: RunRequest, { state, workflow, writer, journal }: LoopContext) {
    const readRecords = async () => {
      await writer.flush();
      return readAll(this.#claim.runId, journal);
    };
    const { loadWorkflow } = this.#deps;
    return answerMigration(request, { state, workflow, readRecords, loadWorkflow });
  }

  async #release(wakeAtMs: number, context: LoopContext, queuedUntilMs = wakeAtMs): Promise<'let-go'> {
    const { clock } = this.#deps;
    const { writer, state, journal } = context;
    await writer.flush();
    const shown = shownStatus(state);
    const status = shown === 'running' ? 'waiting' : shown;
    await journal.release(this.#claim, { wakeAtMs, queuedUntilMs, status, nowMs: clock.now() });
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
  readonly claim: Claim;
  readonly state: RunState;
  workflow: Workflow;
  readonly trace: RunTrace;
  readonly writer: RunWriter;
  readonly journal: DriverJournal;
  readonly calls: CallsUnderWay;
  readonly agenda: Agenda;
}

/** Timers of Node hold 24.8 days at most. */
const maxTimerMs = 2_000_000_000;

function scheduleAt(clock: Clock, atMs: number, callback: () => void): Scheduled {
  return clock.schedule(Math.min(maxTimerMs, Math.max(0, atMs - clock.now())), callback);
}
