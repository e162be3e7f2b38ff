import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { LiveCalls } from '@strata/shared/identity/live-calls.ts';
import { newId } from '@strata/shared/ids.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { BackgroundRun, BackgroundStore, ForeignEnd } from '../domain/background-run.ts';
import type { Answer, Call } from '../domain/call.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { ownerOf } from '../domain/owner.ts';
import type { StoredResponse } from '../domain/stored-response.ts';
import { writeResponseEvent } from '../protocols/openai-responses/restore-response.ts';
import { errorOf, failedResponse, readBackgroundAnswer } from './background-answer.ts';
import { RunLog, runLeaseMs } from './background-log.ts';
import { callDeadline } from './call-deadline.ts';
import type { ConversationTurn } from './conversation-turn.ts';

const sweepEveryMs = 5000;
const sweptAtOnce = 100;
const channel = 'background-responses-ended';

export interface BackgroundRunsDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveCalls;
  readonly hot: Hot;
  readonly store: BackgroundStore;
  answer(call: Call): Promise<Answer>;
  /** Takes a response away again. */
  remove(run: BackgroundRun): Promise<unknown>;
  /** Read once a run. */
  limits(): { readonly maxRuns: number; readonly maxBytes: number; readonly totalTimeoutMs: number };
}

/** A run that is about to begin. */
export interface NewRun {
  readonly stored: StoredResponse;
  readonly isStreamed: boolean;
  readonly turn: ConversationTurn | undefined;
  /** `signal` fires when the run is to stop. */
  openCall(signal: StopSignal, onAdmitted: () => void): Call;
}

interface Starting {
  readonly run: NewRun;
  readonly admission: PromiseWithResolvers<void>;
  readonly stopping: AbortController;
  readonly nextSequence: number | undefined;
}

interface Making extends Pick<Starting, 'admission'> {
  readonly records: RunLog;
  stop(reason: GatewayError): void;
}

/** One that this process makes. */
interface LocalRun {
  stop(reason: GatewayError): void;
  /** Looks whether somebody else ended it. */
  check(): void;
  readonly done: Promise<void>;
}

/**
 * Answers that are made whether or not a client waits. Each is in the store from its beginning, with a lease: if this process dies, any other
 * ends it as failed. Whoever takes the run out of the store has the last word, so it ends once.
 */
export class BackgroundRuns {
  readonly #deps: BackgroundRunsDeps;
  readonly #holder: string;
  readonly #local = new Map<string, LocalRun>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #sweeping: Scheduled;
  #isClosed = false;
  readonly #stopListening: Promise<() => Promise<void>>;

  constructor(deps: BackgroundRunsDeps) {
    this.#deps = deps;
    this.#holder = newId('process', deps.clock.now());
    this.#sweeping = deps.clock.schedule(sweepEveryMs, this.#sweep);
    this.#stopListening = deps.hot.subscribe(channel, id => this.#local.get(id)?.check());
  }

  /**
   * Begins it and returns while it goes on. Refused at once is what the caller's limits refuse.
   *
   * @throws GatewayError rate_limited (`background_full`) and what the limits of the caller throw.
   */
  async begin(caller: Call['caller'], run: NewRun): Promise<BackgroundRun> {
    const { clock, store } = this.#deps;
    const { stored, turn, isStreamed } = run;
    const { maxRuns, totalTimeoutMs } = this.#deps.limits();
    const stopping = new AbortController();
    const deadline = callDeadline(caller, { clock, totalTimeoutMs, parent: stopping.signal });
    const admission = Promise.withResolvers<void>();
    const started = { owner: ownerOf(caller), id: stored.id };
    const events = isStreamed ? { first: 0, frames: firstFrames(stored.response) } : undefined;
    try {
      const call = run.openCall(deadline.signal, admission.resolve);
      const lease = { holder: this.#holder, leaseUntilMs: clock.now() + runLeaseMs };
      const hasBegun = await store.begin(started.owner, stored, { ...lease, maxRuns, events });
      if (!hasBegun) throw tooManyRuns(maxRuns);
      this.#start(call, started, { run, admission, stopping, nextSequence: events?.frames.length });
    } catch (error) {
      turn?.close();
      deadline.close();
      throw error;
    }
    const done = this.#local.get(started.id)?.done.finally(() => deadline.close());
    try {
      await admission.promise;
    } catch (error) {
      await done;
      await this.#deps.remove(started);
      throw error;
    }
    return started;
  }

  /** Ends the run as cancelled, wherever it is made. The response as it is afterwards; one that has ended stays as it is. */
  async cancel(run: BackgroundRun): Promise<JsonObject | undefined> {
    const { store } = this.#deps;
    const response = await this.#stopLocal(run, cancelled(), () =>
      store.endForeign(run, cancelledEnd, { onlyIfDead: false }),
    );
    await this.#tell(run);
    return response;
  }

  /** Stops what is made for a response that was removed. */
  async removed(run: BackgroundRun): Promise<void> {
    this.#local.get(run.id)?.stop(cancelled());
    await this.#tell(run);
  }

  /** The response as it is when its process is still alive, else as it was ended here. */
  endIfDead(run: BackgroundRun): Promise<JsonObject | undefined> {
    if (this.#local.has(run.id)) return Promise.resolve(undefined);
    return this.#deps.store.endForeign(run, deadEnd, { onlyIfDead: true });
  }

  /** Resolves when there may be more to read of the response. Ask before reading. */
  nextChange(id: string): { readonly changed: Promise<void>; forget(): void } {
    const { promise: changed, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(id) ?? new Set();
    waiting.add(resolve);
    this.#waiting.set(id, waiting);
    return {
      changed,
      forget: () => {
        waiting.delete(resolve);
        if (waiting.size === 0) this.#waiting.delete(id);
      },
    };
  }

  /** Gives what is being made `graceMs` to end, then ends it as failed. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    this.#sweeping.cancel();
    await (await this.#stopListening)();
    const running = [...this.#local.values()];
    if (running.length === 0) return;
    const ended = Promise.all(running.map(run => run.done));
    const patience = new AbortController();
    await Promise.race([ended, this.#deps.clock.sleep(graceMs, patience.signal).catch(() => {})]);
    patience.abort();
    for (const run of running) run.stop(draining());
    await ended;
  }

  #start(call: Call, started: BackgroundRun, { run, admission, stopping, nextSequence }: Starting): void {
    const { clock, log, live, store } = this.#deps;
    const stop = (reason: GatewayError) => stopping.abort(reason);
    const records = new RunLog({
      ...{ store, run: started, holder: this.#holder, clock, log, nextSequence },
      onWritten: () => this.#changed(started.id),
      onLost: () => stop(cancelled()),
    });
    const place = live.add({ caller: call.caller, abort: stop });
    const done = this.#make(call, run, { records, admission, stop }).finally(() => {
      place.leave();
      run.turn?.close();
      this.#local.delete(started.id);
      this.#changed(started.id);
    });
    this.#local.set(started.id, { stop, check: () => records.check(), done });
  }

  /** From the first attempt to the last word. Never throws. */
  async #make(call: Call, { stored, turn }: NewRun, { records, admission, stop }: Making): Promise<void> {
    const { maxBytes } = this.#deps.limits();
    let response: JsonObject;
    try {
      const answer = await this.#deps.answer(call);
      const reading = { queued: stored.response, log: records, maxBytes, abort: stop };
      response = await readBackgroundAnswer(answer, reading);
    } catch (error) {
      const reason = GatewayError.from(error);
      if (reason.kind === 'internal') this.#deps.log.error({ err: reason.cause ?? reason }, 'a run failed');
      admission.reject(reason);
      response = failedResponse(stored.response, errorOf(reason));
    }
    const isGood = response.status === 'completed' || response.status === 'incomplete';
    if (!isGood && isCancelled(call.signal)) response = cancelledEnd.end(response);
    await records.finish({ response, turn: isGood ? turn?.end(response) : undefined }, typeOfEnd(response));
  }

  async #stopLocal<T>(run: BackgroundRun, reason: GatewayError, then: () => Promise<T>): Promise<T> {
    const local = this.#local.get(run.id);
    local?.stop(reason);
    await local?.done;
    return then();
  }

  async #tell({ id }: BackgroundRun): Promise<void> {
    this.#changed(id);
    await this.#deps.hot.publish(channel, id).catch((error: unknown) => {
      // Its process will see it when it next writes.
      this.#deps.log.warn({ err: error }, 'others could not be told that a response has ended');
    });
  }

  #changed(id: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    for (const resolve of waiting ?? []) resolve();
  }

  readonly #sweep = (): void => {
    const { store, clock, log } = this.#deps;
    store
      .abandoned(sweptAtOnce)
      .then(runs => Promise.all(runs.map(run => store.endForeign(run, deadEnd, { onlyIfDead: true }))))
      .catch((error: unknown) => log.warn({ err: error }, 'abandoned responses could not be ended'))
      .finally(() => {
        if (!this.#isClosed) this.#sweeping = clock.schedule(sweepEveryMs, this.#sweep);
      });
  };
}

function firstFrames(response: JsonObject): string[] {
  return ['response.created', 'response.queued'].map((type, sequence_number) =>
    writeResponseEvent({ type, sequence_number, response }),
  );
}

function typeOfEnd({ status }: JsonObject): string {
  switch (status) {
    case 'failed':
      return 'response.failed';
    case 'completed':
      return 'response.completed';
    default:
      return 'response.incomplete'; // SDKs know no event of their own for a cancelled response
  }
}

const eventOfEnd = (response: JsonObject, sequence_number: number) =>
  writeResponseEvent({ type: typeOfEnd(response), sequence_number, response });

const cancelledReason = 'response_cancelled';

const cancelledEnd: ForeignEnd = {
  end: response => ({ ...response, status: 'cancelled', error: null, incomplete_details: null }),
  event: eventOfEnd,
};

const deadEnd: ForeignEnd = {
  end: response =>
    failedResponse(response, {
      code: 'response_interrupted',
      message: 'The gateway that made this response stopped before it was complete. Ask again.',
    }),
  event: eventOfEnd,
};

function isCancelled({ reason }: StopSignal): boolean {
  return reason instanceof GatewayError && reason.reason === cancelledReason;
}

function cancelled(): GatewayError {
  return new GatewayError('cancelled', 'The response was cancelled.', { reason: cancelledReason });
}

function draining(): GatewayError {
  return new GatewayError('overloaded', 'The gateway was stopped before the response was complete.', {
    reason: 'draining',
  });
}

function tooManyRuns(maxRuns: number): GatewayError {
  return new GatewayError(
    'rate_limited',
    `${maxRuns} answers are being made in the background already. Wait for one of them.`,
    { reason: 'background_full' },
  );
}
