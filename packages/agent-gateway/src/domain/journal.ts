import type { Append, Claim, Lease, NewRun, ReserveTasks, RunRequest, Told } from './append.ts';
import type { QueueChange, QueueSummary } from './queue.ts';
import type { CloudEvent, JournalRecord } from './run-events.ts';
import type { RunStatus } from './run-state.ts';
import type { Outbox } from './webhook.ts';

/** A run as lists and filters see it: a projection of its journal, kept beside it in the same transaction (AG-5). */
export interface RunSummary {
  readonly id: string;
  readonly tenant: string;
  readonly principal: string;
  readonly definition: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly status: RunStatus;
  readonly position: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly endedAtMs: number | undefined;
  /** When a sleeping run goes on. */
  readonly wakeAtMs: number | undefined;
  readonly costNanoUsd: bigint;
  readonly unpricedCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly traceId: string;
  readonly idempotencyKey: string | undefined;
  /** SHA-256 of what was submitted under the idempotency key. */
  readonly requestDigest: string;
  readonly priority: number;
  readonly queue: string | undefined;
  /** It waits for its queue to let it in. */
  readonly isQueued: boolean;
}

export interface StoredDefinition {
  readonly hash: string;
  /** The document as canonical JSON. */
  readonly document: string;
}

export interface WorkflowId {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
}

export interface StoredWorkflow extends WorkflowId {
  readonly definition: string;
  readonly createdAtMs: number;
}

export interface MadeRun {
  readonly isNew: boolean;
  readonly run: RunSummary;
  /** Only of one that was made with a lease, and now. */
  readonly claim?: Claim | undefined;
}

export interface ClaimOptions extends Lease {
  readonly limit: number;
  readonly active?: Readonly<Record<string, number>>;
}

export interface ReleaseOptions {
  readonly wakeAtMs: number;
  /** Instead, as long as its queue does not let the run in. */
  readonly queuedUntilMs?: number;
  /** What waits in its inbox does not wake it; what comes later does. */
  readonly isParked?: true;
  readonly status: RunStatus;
  readonly nowMs: number;
}

export interface RemoveEnded {
  readonly beforeMs: number;
  readonly limit: number;
  /** Only those whose own retention was over by then. */
  readonly isOwn?: boolean;
}

/** So many events of a tenant, its newest, that may stay. */
export interface HeldEvents {
  /** The oldest of them. */
  readonly id: number;
  readonly count: number;
  readonly bytes: number;
}

export interface TrimEvents {
  readonly tenant: string;
  readonly most: number;
  readonly mostBytes: number;
  /** So many are looked at, and so many go, at a time. */
  readonly limit: number;
  /** What the last look gave. */
  readonly held?: HeldEvents | undefined;
}

export interface RemoveEvents {
  readonly tenant: string;
  readonly beforeMs: number;
  readonly limit: number;
}

export interface RemoveDefinitions {
  readonly beforeMs: number;
  readonly after: string;
  readonly limit: number;
}

export interface RunFilter {
  readonly tenant: string;
  readonly status?: RunStatus | undefined;
  readonly principal?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  /** The concurrency key that it waits or runs under. */
  readonly queue?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  /** Id of the last run of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/**
 * The one journal. Every implementation passes the suite in `test/journal-contract.ts`.
 * Each method is one transaction, and durable when its promise resolves.
 *
 * @throws GatewayError overloaded (`journal_unavailable`) when it cannot be written or read.
 */
export interface Journal {
  readonly outbox: Outbox;
  /** It stays for an hour at least, however little is made of it. */
  putDefinition(definition: StoredDefinition, atMs: number): Promise<void>;
  getDefinition(hash: string): Promise<StoredDefinition | undefined>;
  /** Names a definition. `conflict` when the version names another one: versions never change. `full` when the tenant has as many as it may. */
  putWorkflow(
    tenant: string,
    workflow: StoredWorkflow,
    options: { readonly most: number },
  ): Promise<'created' | 'unchanged' | 'conflict' | 'full'>;
  /** False when there is none; `used` when there are runs of it. */
  deleteWorkflow(tenant: string, id: WorkflowId): Promise<boolean | 'used'>;
  getWorkflow(tenant: string, id: WorkflowId): Promise<StoredWorkflow | undefined>;
  listWorkflows(
    tenant: string,
    options: { readonly after: string | undefined; readonly limit: number },
  ): Promise<StoredWorkflow[]>;

  /**
   * Creates the run and its first record; gives the existing run when the tenant has used the key before. With a lease it is claimed in
   * the same transaction, unless it has a queue, which says when it begins.
   */
  createRun(run: NewRun, lease?: Lease): Promise<MadeRun>;
  /**
   * Creates these runs and what was asked of them, all or none; none when the tenant has used the key of the first before. Gives the
   * first.
   */
  importRuns(runs: readonly NewRun[], asked: readonly Told[]): Promise<MadeRun>;
  getRun(tenant: string, runId: string): Promise<RunSummary | undefined>;
  listRuns(filter: RunFilter): Promise<RunSummary[]>;
  read(runId: string, afterSeq: number, limit: number): Promise<JournalRecord[]>;

  /**
   * Takes runs that are due and that no living worker holds. When more are due than are wanted, tenants take turns: `active` says on how
   * many runs of each the worker works already.
   */
  claim(options: ClaimOptions): Promise<Claim[]>;
  /** Extends the leases of a worker. Gives those of the runs that it still holds, and those of them that were asked something. */
  renew(options: {
    owner: string;
    runIds: readonly string[];
    nowMs: number;
    leaseMs: number;
  }): Promise<{ held: string[]; asked: string[] }>;
  /** False when the claim is not the newest one or the position is not the last: nothing was written (AG-2). */
  append(append: Append): Promise<boolean>;
  /**
   * Makes the run hold as many tasks as are wanted, or as are left for it, if that is not less than the least (G4). Gives how many it holds
   * then; 0 when there are not enough; undefined when the claim is not the newest one. What it holds is written with every append.
   */
  reserveTasks(claim: Claim, wanted: ReserveTasks): Promise<number | undefined>;
  /** Lets go of the run until `wakeAtMs`. A request that waits in its inbox, or arrives, wakes it at once. */
  release(claim: Claim, options: ReleaseOptions): Promise<boolean>;
  /** When the next run is due that this worker does not hold. */
  nextWakeAt(owner: string): Promise<number | undefined>;

  /** Puts a request into the inbox of a run that has not ended; false when it has, or is not the tenant's. A `rewind` wakes one that has. */
  request(
    tenant: string,
    runId: string,
    request: { kind: RunRequest['kind']; payload: unknown; by: string; atMs: number },
  ): Promise<boolean>;
  requests(runId: string): Promise<RunRequest[]>;
  /** Signals and events that were sent to the run: those that wait in its inbox, and those that it has recorded. */
  countMessages(runId: string): Promise<number>;
  /** Publishes an event: it goes to every run of the tenant that has subscribed to its type, once, however often it is sent. */
  publish(tenant: string, event: CloudEvent, options: { by: string; atMs: number }): Promise<void>;

  /**
   * Removes runs that ended before then, the oldest first, with all that is kept of them; their idempotency keys are free again. Gives how
   * many.
   */
  removeEnded(options: RemoveEnded): Promise<number>;
  /** The first tenant by name after this one of whose events some are kept. */
  nextPublisher(after: string): Promise<string | undefined>;
  /**
   * Removes events of a tenant that were published before then, and before every run of it that has not ended: none of those can still begin
   * to listen to them. Gives how many.
   */
  removeEvents(options: RemoveEvents): Promise<number>;
  /**
   * Looks at events of a tenant, the newest first, and removes the oldest if there are more than so many, or larger ones together than so
   * much. Gives what the next look is to know; undefined when none is needed.
   */
  trimEvents(options: TrimEvents): Promise<HeldEvents | undefined>;
  /**
   * Looks at so many definitions after this hash and removes those that no run and no workflow names and that nobody has put since then.
   * Gives the last that it looked at; undefined when there are no more.
   */
  removeDefinitions(options: RemoveDefinitions): Promise<string | undefined>;

  listQueues(
    tenant: string,
    options: { readonly after: string | undefined; readonly limit: number },
  ): Promise<QueueSummary[]>;
  getQueue(tenant: string, name: string): Promise<QueueSummary | undefined>;
  /** Makes the queue if there is none, and lets in whom the change lets in. */
  changeQueue(tenant: string, name: string, change: QueueChange & { readonly atMs: number }): Promise<void>;

  /** Called after records of a run became durable: those of this process at once, those of others as far as it hears of them. */
  onAppend(listener: (runId: string) => void): () => void;
  /** Called when another process asked something of a run, or made one. */
  onDue(listener: (runId: string | undefined) => void): () => void;
  ping(): Promise<void>;
  close(): Promise<void>;
}
