/**
 * What runs that follow one another have in common. A run of a thread begins with its context as `$context`, and leaves there what it has
 * exported when it completes. One run at a time, so that none overwrites what another has left.
 */
export interface ThreadSummary {
  readonly tenant: string;
  readonly id: string;
  /** It is for those who may use workflows of this namespace. */
  readonly namespace: string;
  /** Rises with every change: the ETag. */
  readonly revision: number;
  /** The run that goes on in it. Once that has ended, what it left has not been taken over yet. */
  readonly run: string | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly principal: string;
}

export interface Thread extends ThreadSummary {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly context: unknown;
  /** The newest first. */
  readonly runs: readonly string[];
  /** What stands for the idempotency key of the submission that it was taken for, if that had one. */
  readonly takenFor?: string | undefined;
}

export const maxThreadRuns = 100;

export interface Threads {
  create(thread: Thread): Promise<void>;
  get(tenant: string, id: string): Promise<Thread | undefined>;
  count(tenant: string): Promise<number>;
  list(page: {
    readonly tenant: string;
    readonly after: string;
    readonly limit: number;
  }): Promise<ThreadSummary[]>;
  /** In the place of the revision before it; undefined when it has been changed since that was read. */
  change(thread: Thread, atMs: number): Promise<Thread | undefined>;
  delete(thread: Thread): Promise<boolean>;
  /** Those in which a run goes on, or has ended and left something. */
  unsettled(page: { readonly after: string; readonly limit: number }): Promise<Thread[]>;
}
