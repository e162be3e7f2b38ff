import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Append, Claim, Lease, NewRun, Told } from '../../domain/append.ts';
import type { Journal, MadeRun } from '../../domain/journal.ts';
import { createOperation, type FromWriter, type Operation, type ToWriter } from './operations.ts';
import { createSqliteOutbox } from './outbox.ts';
import { SqliteReader } from './reader.ts';

interface Waiting {
  resolve(value: unknown): void;
  reject(error: GatewayError): void;
}

/**
 * The embedded journal: a SQLite file of its own. Writes go through one thread that commits them in groups; reads are made
 * here, beside it. `node:sqlite` is used directly, not the shared SQL store, because that one runs its statements on the event
 * loop, one transaction at a time: each append would hold the whole gateway for as long as the disk takes.
 */
export async function openSqliteJournal(path: string): Promise<Journal> {
  mkdirSync(dirname(path), { recursive: true });
  closeSync(openSync(path, 'a', 0o600)); // prompts and answers are in it; its log and index inherit the mode
  const writer = new WriterClient(path);
  await writer.ready;
  const reader = new SqliteReader(path);
  const listeners = new Set<(runId: string) => void>();
  const tell = (runId: string) => {
    for (const listener of listeners) listener(runId);
  };

  return {
    outbox: createSqliteOutbox({
      apply: operation => writer.apply({ type: 'outbox', operation }),
      read: reader.statements,
    }),
    async putDefinition(definition, atMs) {
      await writer.apply({ type: 'put-definition', definition, atMs });
    },
    getDefinition: async hash => reader.getDefinition(hash),
    putWorkflow: (tenant, workflow, { most }) =>
      writer.apply({ type: 'put-workflow', tenant, workflow, most }),
    deleteWorkflow: (tenant, id) => writer.apply({ type: 'delete-workflow', tenant, id }),
    getWorkflow: async (tenant, id) => reader.getWorkflow(tenant, id),
    listWorkflows: async (tenant, { after, limit }) => reader.listWorkflows(tenant, after, limit),
    createRun: (run, lease) => createRun({ run, lease }, { writer, reader, tell }),
    importRuns: (runs, asked) => importRuns({ runs, asked }, { writer, reader, tell }),
    getRun: async (tenant, runId) => reader.getRun(tenant, runId),
    listRuns: async filter => reader.listRuns(filter),
    read: async (runId, afterSeq, limit) => reader.read(runId, afterSeq, limit),
    claim: options => writer.apply<Claim[]>({ type: 'claim', ...options }),
    renew: options => writer.apply({ type: 'renew', ...options }),
    async append(append: Append) {
      const isWritten = await writer.apply<boolean>({ type: 'append', append });
      if (isWritten && append.records.length > 0) tell(append.claim.runId);
      return isWritten;
    },
    reserveTasks: (claim, wanted) => writer.apply({ type: 'reserve-tasks', claim, wanted }),
    release: (claim, options) => writer.apply({ type: 'release', claim, ...options }),
    nextWakeAt: async owner => reader.nextWakeAt(owner),
    request: (tenant, runId, { kind, payload, by, atMs }) =>
      writer.apply({ type: 'request', tenant, runId, kind, payload: JSON.stringify(payload), by, atMs }),
    requests: async runId => reader.requests(runId),
    countMessages: async runId => reader.countMessages(runId),
    publish: (tenant, event, options) => writer.apply({ type: 'publish', tenant, event, ...options }),
    removeEnded: options => writer.apply({ type: 'remove-ended', ...options }),
    nextPublisher: async after => reader.nextPublisher(after),
    trimEvents: options => writer.apply({ type: 'trim-events', ...options }),
    removeEvents: options => writer.apply({ type: 'remove-events', ...options }),
    removeDefinitions: options => writer.apply({ type: 'remove-definitions', ...options }),
    listQueues: async (tenant, { after, limit }) => reader.listQueues(tenant, after, limit),
    getQueue: async (tenant, name) => reader.getQueue(tenant, name),
    changeQueue: (tenant, name, change) => writer.apply({ type: 'change-queue', tenant, name, ...change }),
    onAppend(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onDue: () => () => {}, // whoever shares the file looks into it from time to time
    async ping() {
      writer.requireAlive();
      reader.ping();
    },
    async close() {
      listeners.clear();
      reader.close(); // the last connection folds the log into the file, and a reader could not
      await writer.close();
    },
  };
}

interface Parts {
  readonly writer: WriterClient;
  readonly reader: SqliteReader;
  tell(runId: string): void;
}

async function importRuns(
  { runs, asked }: { runs: readonly NewRun[]; asked: readonly Told[] },
  { writer, reader, tell }: Parts,
): Promise<MadeRun> {
  const operations = runs.map(createOperation);
  const id = await writer.apply<string>({ type: 'import-runs', runs: operations, asked });
  return madeRun(runs[0], id, { reader, tell });
}

function madeRun(wanted: NewRun | undefined, id: string, { reader, tell }: Omit<Parts, 'writer'>): MadeRun {
  const run = wanted && reader.getRun(wanted.tenant, id);
  if (run === undefined) throw new Error(`Run ${id} was written and is not there`);
  const isNew = id === wanted?.id;
  if (isNew) tell(id);
  return { isNew, run };
}

async function createRun(
  { run, lease }: { run: NewRun; lease: Lease | undefined },
  { writer, ...parts }: Parts,
): Promise<MadeRun> {
  const operation = { ...createOperation(run), lease };
  const { id, claim } = await writer.apply<{ id: string; claim: Claim | undefined }>(operation);
  return { ...madeRun(run, id, parts), claim };
}

class WriterClient {
  readonly ready: Promise<void>;
  readonly #thread: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #broken: GatewayError | undefined;

  constructor(path: string) {
    this.#thread = new Worker(new URL('./writer-thread.ts', import.meta.url), {
      workerData: { path },
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 8 }, // it keeps nothing, and need not collect 48 MiB before it lets go
    });
    this.#thread.unref();
    this.ready = new Promise((resolve, reject) => {
      this.#thread.on('message', (message: FromWriter) => {
        if (message.type === 'ready') resolve();
        else if (message.type === 'outcomes') this.#settle(message.outcomes);
        else reject(unavailable(message.problem));
      });
      this.#thread.on('error', error => {
        reject(error);
        this.#break(unavailable(error instanceof Error ? error.message : String(error)));
      });
      this.#thread.on('exit', () => this.#break(unavailable('The writer has ended')));
    });
  }

  /** Resolves when the operation is on disk. */
  apply<Value>(operation: Operation): Promise<Value> {
    if (this.#broken) return Promise.reject(this.#broken);
    const id = ++this.#lastId;
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#thread.postMessage({ id, operation } satisfies ToWriter);
    }) as Promise<Value>; // the writer answers each operation as the port says
  }

  requireAlive(): void {
    if (this.#broken) throw this.#broken;
  }

  async close(): Promise<void> {
    if (this.#broken) return;
    this.#thread.ref();
    const ended = new Promise(resolve => this.#thread.once('exit', resolve));
    this.#thread.postMessage('close');
    await ended;
  }

  #settle(outcomes: Extract<FromWriter, { type: 'outcomes' }>['outcomes']): void {
    for (const outcome of outcomes) {
      const waiting = this.#waiting.get(outcome.id);
      this.#waiting.delete(outcome.id);
      if ('problem' in outcome) waiting?.reject(unavailable(outcome.problem));
      else waiting?.resolve(outcome.value);
    }
  }

  #break(error: GatewayError): void {
    this.#broken ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#broken);
    this.#waiting.clear();
  }
}

function unavailable(problem: string): GatewayError {
  return new GatewayError('overloaded', 'The journal cannot be written or read right now.', {
    reason: 'journal_unavailable',
    retryAfterMs: 1000,
    cause: new Error(problem),
  });
}
