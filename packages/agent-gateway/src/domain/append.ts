import type { QueuePlace } from './queue.ts';
import type { CloudEvent, RunEvent } from './run-events.ts';
import type { RunStatus } from './run-state.ts';

export interface NewRecord {
  readonly kind: RunEvent['type'];
  /** The event as JSON. */
  readonly payload: string;
  readonly atMs: number;
}

export interface NewRun {
  readonly id: string;
  readonly tenant: string;
  readonly principal: string;
  readonly definition: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly traceId: string;
  readonly idempotencyKey: string | undefined;
  readonly requestDigest: string;
  readonly event: Extract<RunEvent, { type: 'run-created' }>;
  readonly atMs: number;
  /** Waits until its queue lets it in. */
  readonly queue?: QueuePlace | undefined;
  /** How long it stays after its end, should the journal keep it longer. */
  readonly keepEndedMs?: number | undefined;
  /** From 0, the least urgent, to 9. */
  readonly priority?: number | undefined;
  /** Begins with these after its first record, made elsewhere. */
  readonly records?: readonly NewRecord[] | undefined;
  /** Begins with a copy of another run's records from the second to `to`, and this one. */
  readonly fork?: { readonly runId: string; readonly to: number; readonly record: NewRecord } | undefined;
}

/** Who holds a run from now on, and for how long before others may take it. */
export interface Lease {
  readonly owner: string;
  readonly nowMs: number;
  readonly leaseMs: number;
}

/** What a worker holds: the right to append while nobody else has claimed the run since. */
export interface Claim {
  readonly runId: string;
  readonly tenant: string;
  /** It waits for its queue: what is asked of it is answered, and nothing else is done. */
  readonly isQueued: boolean;
  /** Rises with every claim. An append under an older one is refused (AG-2). */
  readonly epoch: number;
}

/** The columns of the summary that change as a run goes on. */
export interface Progress {
  readonly status: RunStatus;
  readonly costNanoUsd: bigint;
  readonly unpricedCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Tasks that it may have open, of those of its tree; 0 when nothing bounds them. */
  readonly heldTasks: number;
}

export interface ReserveTasks {
  /** The run that the tree began with. */
  readonly rootRun: string;
  readonly least: number;
  readonly wanted: number;
  /** What all runs of the tree may hold that have not ended. */
  readonly limit: number;
}

/** Something that was asked of a run from outside. Kept until the run's worker has written its answer. */
export interface RunRequest {
  readonly id: number;
  readonly kind:
    | 'cancel'
    | 'terminate'
    | 'pause'
    | 'resume'
    | 'signal'
    | 'event'
    | 'child-ended'
    | 'child-held'
    | 'resolve'
    | 'migrate'
    | 'export'
    | 'rewind';
  readonly payload: unknown;
  readonly by: string;
}

export interface Told {
  readonly runId: string;
  readonly kind: RunRequest['kind'];
  readonly payload: unknown;
  readonly by: string;
}

export interface Append {
  readonly claim: Claim;
  /** Sequence number of the last record the writer knows. */
  readonly position: number;
  readonly records: readonly NewRecord[];
  readonly progress: Progress;
  readonly atMs: number;
  /** Requests that these records answer; they leave the inbox in the same transaction. */
  readonly consumed?: readonly number[];
  /** The run is over: the lease goes, and nothing will claim it again unless a rewind is asked for. */
  readonly isFinal: boolean;
  /** The run leaves its queue, which lets in the next, or waits in it again. */
  readonly queue?: { readonly name: string; readonly step: 'leave' | 'wait' };
  /** The run goes on under this definition. */
  readonly migrate?: { readonly definition: string; readonly version: string };
  /** Put into the inboxes of other runs of the tenant in the same transaction, as far as they have not ended. */
  readonly tell?: readonly Told[];
  /** Created in the same transaction. */
  readonly spawn?: readonly NewRun[];
  /** Published in the same transaction, and not without it (W11). */
  readonly publish?: readonly CloudEvent[];
  /** Put into the outbox for the webhooks of the tenant that want them, in the same transaction. */
  readonly announce?: readonly CloudEvent[];
  /** Types of events that come to the run's inbox from now on, those since its creation included. */
  readonly subscribe?: readonly string[];
  /**
   * It was sent before, and its answer was lost: when this very claim has moved the run to where this append would, then it is
   * written.
   */
  readonly isRepeat?: boolean;
}
