import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Claim, NewRecord, NewRun } from '../domain/append.ts';
import { emptyRun } from '../domain/empty-run.ts';
import { apply } from '../domain/fold.ts';
import { replay } from '../domain/replay.ts';
import { runError } from '../domain/run-error.ts';
import type { JournalRecord, RunEvent } from '../domain/run-events.ts';
import { type RunState, shownStatus, terminalStatuses } from '../domain/run-state.ts';
import { Outgoing } from './outgoing.ts';
import type { DriverJournal } from './patient-journal.ts';

const pageSize = 500;
/** What waits for the disk stays small, so that a long run of pure tasks shows its progress. */
const maxBuffered = { records: 128, bytes: 512 * 1024 };

/** Folds a run's whole journal, page by page. */
export async function loadRun(runId: string, journal: DriverJournal): Promise<RunState> {
  const state = emptyRun();
  for (;;) {
    const page = await journal.read(runId, state.position, pageSize);
    for (const record of page) {
      if (record.event.type === 'run-rewound') return replay(await readAll(runId, journal));
      apply(state, record);
    }
    if (page.length < pageSize) return state;
  }
}

export async function readAll(runId: string, journal: DriverJournal): Promise<JournalRecord[]> {
  const records: JournalRecord[] = [];
  for (;;) {
    const page = await journal.read(runId, records.length, pageSize);
    records.push(...page);
    if (page.length < pageSize) return records;
  }
}

/**
 * Folds events into the state as they happen, and puts them on disk in groups. The state is ahead of the disk only by what
 * nobody outside has seen.
 */
export class RunWriter {
  readonly #claim: Claim;
  readonly #state: RunState;
  readonly #journal: DriverJournal;
  readonly #clock: Clock;
  readonly #outgoing: Outgoing;
  #durable: number;
  #buffer: NewRecord[] = [];
  #bufferedBytes = 0;
  #consumed: number[] = [];

  constructor(options: { claim: Claim; state: RunState; journal: DriverJournal; clock: Clock }) {
    this.#claim = options.claim;
    this.#state = options.state;
    this.#journal = options.journal;
    this.#clock = options.clock;
    this.#durable = options.state.position;
    this.#outgoing = new Outgoing(options.claim.runId);
    // Told with the records that made them so.
    options.state.orphans = [];
    options.state.released = [];
  }

  get isFull(): boolean {
    return this.#buffer.length >= maxBuffered.records || this.#bufferedBytes >= maxBuffered.bytes;
  }

  record(event: RunEvent): void {
    const { kept, payload } = this.#withinLimit(event);
    const atMs = this.#clock.now();
    apply(this.#state, { seq: this.#state.position + 1, atMs, event: kept, bytes: payload.length });
    this.#buffer.push({ kind: kept.type, payload, atMs });
    this.#bufferedBytes += payload.length;
    this.#outgoing.record(kept, this.#state, atMs);
  }

  /** The run is created with what was recorded last. */
  spawn(run: NewRun): void {
    this.#outgoing.spawn(run);
  }

  /** The request leaves the inbox with the next flush. */
  consume(requestId: number): void {
    this.#consumed.push(requestId);
  }

  /** It was answered, and is in the inbox until the next flush. */
  hasConsumed(requestId: number): boolean {
    return this.#consumed.includes(requestId);
  }

  /** @throws GatewayError conflict (`run_taken_over`) when another worker has claimed the run since (AG-2). */
  async flush(): Promise<void> {
    if (this.#buffer.length === 0 && this.#consumed.length === 0) return;
    const { costNanoUsd, unpricedCalls, inputTokens, outputTokens } = this.#state;
    const heldTasks = Number.isFinite(this.#state.heldTasks) ? this.#state.heldTasks : 0;
    const status = shownStatus(this.#state);
    const records = this.#buffer;
    const consumed = this.#consumed;
    this.#buffer = [];
    this.#bufferedBytes = 0;
    this.#consumed = [];
    const isWritten = await this.#journal.append({
      claim: this.#claim,
      position: this.#durable,
      records,
      progress: { status, costNanoUsd, unpricedCalls, inputTokens, outputTokens, heldTasks },
      atMs: this.#clock.now(),
      consumed,
      isFinal: terminalStatuses.has(status),
      ...this.#outgoing.take(),
    });
    if (!isWritten) throw runTakenOver();
    this.#durable += records.length;
  }

  /** A value that is larger than it may be fails its task instead of being written (F83). */
  #withinLimit(event: RunEvent): { kept: RunEvent; payload: string } {
    const payload = JSON.stringify(event);
    const limit = this.#state.limits.maxValueBytes;
    const isTask = event.type === 'task-started' || event.type === 'task-completed';
    if (!isTask || payload.length <= limit) return { kept: event, payload };
    const { path, visit } = event;
    const branch = event.type === 'task-started' ? event.branch : undefined;
    const error = runError('validation', {
      status: 413,
      detail: `The task's data has ${payload.length} bytes; a recorded value may have ${limit}.`,
      instance: path,
      reason: 'value_too_large',
    });
    const kept: RunEvent = {
      type: 'task-failed',
      path,
      visit,
      error,
      ...(branch !== undefined && { branch }),
    };
    return { kept, payload: JSON.stringify(kept) };
  }
}

export function runTakenOver(): GatewayError {
  return new GatewayError('conflict', 'Another worker has taken the run over.', { reason: 'run_taken_over' });
}
