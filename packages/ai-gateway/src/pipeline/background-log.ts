import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { BackgroundRun, BackgroundStore, NumberedFrames, RunEnd } from '../domain/background-run.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { writeResponseEvent } from '../protocols/openai-responses/restore-response.ts';

/** A process that dies is known to be dead this much later. */
export const runLeaseMs = 12_000;
const renewEveryMs = 3000;
/** Between two writes: what comes meanwhile is written at once. */
const gatherMs = 100;
const retryEveryMs = 1000;
/** Events that wait to be written, from which on the upstream is not read. */
const maxPendingBytes = 1024 * 1024;
const maxFinishTries = 5;

export interface RunLogOptions {
  readonly store: BackgroundStore;
  readonly run: BackgroundRun;
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of the next event; undefined when nobody asked for the events. */
  readonly nextSequence: number | undefined;
  /** Something more can be read from the store. */
  onWritten(): void;
  /** Somebody else ended the run. */
  onLost(): void;
}

/**
 * What one run has said so far, on its way into the store, in order. Readers see an event only after it was written, so that what they have
 * seen can always be gone on from, whatever becomes of this process.
 */
export class RunLog {
  readonly #options: RunLogOptions;
  #pending: string[] = [];
  #pendingBytes = 0;
  #response: JsonObject | undefined;
  #firstPending: number;
  #next: number;
  #timer: Scheduled;
  #writing: Promise<void> | undefined;
  #isClosed = false;
  #hasFailed = false;
  #writtenAtMs: number;
  #onDrain: (() => void) | undefined;

  constructor(options: RunLogOptions) {
    this.#options = options;
    this.#next = options.nextSequence ?? 0;
    this.#firstPending = this.#next;
    this.#writtenAtMs = options.clock.monotonic();
    this.#timer = options.clock.schedule(renewEveryMs, this.#write);
  }

  /** False when too much waits to be written: then wait for `onDrain`. */
  add(type: string, members: JsonObject): boolean {
    if (this.#options.nextSequence !== undefined) {
      const frame = writeResponseEvent({ ...members, type, sequence_number: this.#next++ });
      this.#pending.push(frame);
      this.#pendingBytes += frame.length;
      this.#writeSoon();
    }
    return this.#pendingBytes < maxPendingBytes;
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener;
  }

  /** How far the response has come, for whoever asks. */
  progress(response: JsonObject): void {
    this.#response = response;
    this.#writeSoon();
  }

  /** Looks whether the run is still its holder's. */
  check(): void {
    this.#timer.cancel();
    this.#write();
  }

  /** Writes the end with all that is left. Resolves when it is there, or when it is somebody else's to end the run. */
  async finish(end: Omit<RunEnd, 'events'>, type: string): Promise<void> {
    const { store, run, holder, clock, log } = this.#options;
    this.#isClosed = true;
    this.#timer.cancel();
    await this.#writing;
    this.add(type, { response: end.response });
    for (let attempt = 1; attempt <= maxFinishTries; attempt++) {
      try {
        await store.finish(run, holder, { ...end, events: this.#batch() });
        this.#options.onWritten();
        return;
      } catch (error) {
        log.warn({ err: error, response: run.id }, 'the end of a response could not be written');
        if (attempt < maxFinishTries) await clock.sleep(retryEveryMs);
      }
    }
  }

  #batch(): NumberedFrames | undefined {
    return this.#pending.length === 0 ? undefined : { first: this.#firstPending, frames: [...this.#pending] };
  }

  #writeSoon(): void {
    if (this.#isClosed || this.#writing !== undefined) return;
    const waitMs = this.#writtenAtMs + gatherMs - this.#options.clock.monotonic();
    this.#timer.cancel();
    this.#timer = this.#options.clock.schedule(Math.max(0, waitMs), this.#write);
  }

  readonly #write = (): void => {
    if (this.#isClosed || this.#writing !== undefined) return;
    this.#writing = this.#advance().finally(() => {
      this.#writing = undefined;
      if (this.#isClosed) return;
      const hasMore = this.#pending.length > 0 || this.#response !== undefined;
      if (hasMore && !this.#hasFailed) this.#writeSoon();
      else {
        const waitMs = this.#hasFailed ? retryEveryMs : renewEveryMs;
        this.#timer = this.#options.clock.schedule(waitMs, this.#write);
      }
    });
  };

  async #advance(): Promise<void> {
    const { store, run, holder, clock, log, onWritten, onLost } = this.#options;
    const events = this.#batch();
    const response = this.#response;
    try {
      const leaseUntilMs = clock.now() + runLeaseMs;
      const isHeld = await store.advance(run, holder, { leaseUntilMs, events, response });
      this.#hasFailed = false;
      if (!isHeld) {
        this.#isClosed = true;
        onLost();
        return;
      }
    } catch (error) {
      this.#hasFailed = true;
      log.warn({ err: error, response: run.id }, 'what a response has said could not be written yet');
      return;
    }
    this.#writtenAtMs = clock.monotonic();
    this.#taken(events, response);
    if (events !== undefined || response !== undefined) onWritten();
  }

  #taken(events: NumberedFrames | undefined, response: JsonObject | undefined): void {
    if (this.#response === response) this.#response = undefined;
    if (events === undefined) return;
    const count = events.frames.length;
    this.#pending = this.#pending.slice(count);
    this.#firstPending = events.first + count;
    this.#pendingBytes = this.#pending.reduce((sum, frame) => sum + frame.length, 0);
    const drained = this.#onDrain;
    this.#onDrain = undefined;
    drained?.();
  }
}
