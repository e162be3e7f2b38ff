import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import pg from 'pg';
import { type Connection, type ConnectionOptions, clientSettings } from './connection.ts';

const channel = 'strata_agent_hints';
/** Between two of them. */
const gatherMs = 20;
const reconnectMs = 1000;
/** NOTIFY takes at most 8000 bytes. */
const maxRuns = 200;

interface Hint {
  /** Something is due. */
  readonly due?: boolean;
  /** Runs that were asked something. */
  readonly asked?: readonly string[];
  /** Runs with new records. */
  readonly runs?: readonly string[];
  readonly from: string;
}

export interface HintListeners {
  onDue(runId: string | undefined): void;
  onAppend(runId: string): void;
}

/**
 * Tells other processes that it may be worth looking (LISTEN/NOTIFY). Nothing depends on it: whoever hears nothing looks by
 * himself a second later. The first goes out at once; those that follow are gathered, because a commit with NOTIFY in it waits for every
 * other such commit.
 */
export class Hints {
  readonly #connection: Connection;
  readonly #options: ConnectionOptions;
  readonly #clock: Clock;
  readonly #name = crypto.randomUUID();
  readonly #listeners: HintListeners;
  readonly #runs = new Set<string>();
  readonly #asked = new Set<string>();
  #isDue = false;
  #nextAtMs = 0;
  #sending: Scheduled | undefined;
  #client: pg.Client | undefined;
  #reconnect: Scheduled | undefined;
  #isClosed = false;

  constructor(parts: {
    connection: Connection;
    options: ConnectionOptions;
    clock: Clock;
    listeners: HintListeners;
  }) {
    this.#connection = parts.connection;
    this.#options = parts.options;
    this.#clock = parts.clock;
    this.#listeners = parts.listeners;
  }

  tellAppended(runId: string): void {
    this.#runs.add(runId);
    this.#gather();
  }

  tellDue(): void {
    this.#isDue = true;
    this.#gather();
  }

  tellAsked(runId: string): void {
    this.#asked.add(runId);
    this.#gather();
  }

  async listen(): Promise<void> {
    if (this.#isClosed) return;
    const client = new pg.Client({ ...clientSettings(this.#options), query_timeout: 0 });
    this.#client = client;
    let isOver = false;
    const again = () => {
      if (isOver) return;
      isOver = true;
      void client.end().catch(() => {}); // it is broken already
      this.#reconnect = this.#clock.schedule(reconnectMs, () => void this.listen());
    };
    client.on('error', again);
    client.on('end', again);
    client.on('notification', ({ payload }) => this.#hear(payload ?? ''));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
    } catch {
      again(); // the server is away; hints are missed, and nothing else
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sending?.cancel();
    this.#reconnect?.cancel();
    this.#client?.removeAllListeners('end');
    await this.#client?.end().catch(() => {}); // it may be broken already
    this.#reconnect?.cancel();
  }

  #gather(): void {
    if (this.#isClosed) return;
    const waitMs = Math.min(gatherMs, Math.max(0, this.#nextAtMs - this.#clock.now()));
    this.#sending ??= this.#clock.schedule(waitMs, () => {
      this.#sending = undefined;
      this.#nextAtMs = this.#clock.now() + gatherMs;
      const runs = [...this.#runs].slice(0, maxRuns / 2);
      const asked = [...this.#asked].slice(0, maxRuns / 2);
      const hint: Hint = { from: this.#name, due: this.#isDue, runs, asked };
      this.#runs.clear();
      this.#asked.clear();
      this.#isDue = false;
      this.#connection
        .query('notify', 'select pg_notify($1, $2)', [channel, JSON.stringify(hint)])
        .catch(() => {}); // a hint that is lost costs a second
    });
  }

  #hear(payload: string): void {
    const { from, due, runs, asked } = JSON.parse(payload) as Hint; // from a process like this one
    if (from === this.#name) return;
    if (due) this.#listeners.onDue(undefined);
    for (const runId of asked ?? []) this.#listeners.onDue(runId);
    for (const runId of runs ?? []) this.#listeners.onAppend(runId);
  }
}
