import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { Agenda } from '../domain/agenda.ts';
import type { Claim, RunRequest } from '../domain/append.ts';
import type { Command } from '../domain/command.ts';
import { decideRun } from '../domain/decide.ts';
import { callsInDoubt } from '../domain/decide-calls.ts';
import { queuedUntil } from '../domain/queue.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import { type RunState, shownStatus } from '../domain/run-state.ts';
import { neverMs } from '../domain/schedule.ts';
import { answerRequest } from './answer-request.ts';
import { CallsUnderWay } from './calls-under-way.ts';
import { decideOrPause } from './decide-or-pause.ts';
import { followCommand } from './follow-command.ts';
import { answerMigration } from './migrate-run.ts';
import { patientJournal } from './patient-journal.ts';
import type { DriverDeps, RunContext } from './run-context.ts';
import { RunTrace } from './run-trace.ts';
import { RunWriter, readAll } from './run-writer.ts';
import { takeUpRun } from './take-up-run.ts';

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

  /** Resolves when this worker has nothing more to do with the run. `made`: all that is recorded of one that was made here just now. */
  async drive(made?: readonly JournalRecord[]): Promise<void> {
    const { clock, random } = this.#deps;
    const { runId } = this.#claim;
    const patience = { clock, random, signal: this.#lost.signal };
    const journal = patientJournal(this.#deps.journal, patience);
    const taken = await takeUpRun({ claim: this.#claim, made, journal, patience }, this.#deps);
    if (taken === undefined) return;
    const { state, workflow, requests } = taken;
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

  async #loop(context: RunContext): Promise<void> {
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
  async #step(context: RunContext): Promise<'go-on' | 'let-go'> {
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
    const of = { runId: this.#claim.runId, state, unit };
    const command = decideOrPause(of, options, this.#deps.telemetry.log);
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

  async #follow(command: Command, context: RunContext): Promise<'go-on' | 'let-go'> {
    const followed = await followCommand(command, context, this.#deps);
    switch (followed.type) {
      case 'done':
        return 'go-on';
      case 'wait':
        return this.#rest(followed.untilMs, context);
      case 'postponed':
        return this.#release(followed.untilMs, context);
      case 'ended':
        return 'let-go';
    }
  }

  /** Nothing is to be decided now. */
  async #rest(untilMs: number, context: RunContext): Promise<'go-on' | 'let-go'> {
    const { calls, writer } = context;
    if (calls.count === 0 && !calls.hasArrived) {
      if (this.#isAsked) return 'go-on';
      return this.#release(Math.min(untilMs, neverMs), context);
    }
    await writer.flush();
    if (!calls.hasArrived) await this.#waitForNews(untilMs);
    return 'go-on';
  }

  async #takeRequests(context: RunContext, given?: readonly RunRequest[]): Promise<void> {
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

  async #migration(request: RunRequest, { state, workflow, writer, journal }: RunContext) {
    const readRecords = async () => {
      await writer.flush();
      return readAll(this.#claim.runId, journal);
    };
    const { loadWorkflow, limits } = this.#deps;
    return answerMigration(request, { state, workflow, configured: limits(), readRecords, loadWorkflow });
  }

  async #release(wakeAtMs: number, context: RunContext, queuedUntilMs = wakeAtMs): Promise<'let-go'> {
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

/** Timers of Node hold 24.8 days at most. */
const maxTimerMs = 2_000_000_000;

function scheduleAt(clock: Clock, atMs: number, callback: () => void): Scheduled {
  return clock.schedule(Math.min(maxTimerMs, Math.max(0, atMs - clock.now())), callback);
}
