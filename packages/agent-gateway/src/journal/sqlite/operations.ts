import type { Append, Claim, Lease, NewRun, ReserveTasks, RunRequest, Told } from '../../domain/append.ts';
import type {
  ClaimOptions,
  ReleaseOptions,
  RemoveDefinitions,
  RemoveEvents,
  StoredDefinition,
  StoredWorkflow,
  TrimEvents,
  WorkflowId,
} from '../../domain/journal.ts';
import { type QueueChange, queuedUntil } from '../../domain/queue.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import type { OutboxOperation } from './outbox.ts';

/** What the writer thread can do. Each is a part of one transaction with whatever else waits. */
export type Operation =
  | { readonly type: 'put-definition'; readonly definition: StoredDefinition; readonly atMs: number }
  | {
      readonly type: 'put-workflow';
      readonly tenant: string;
      readonly workflow: StoredWorkflow;
      readonly most: number;
    }
  | { readonly type: 'delete-workflow'; readonly tenant: string; readonly id: WorkflowId }
  | {
      readonly type: 'create-run';
      readonly run: Omit<NewRun, 'event'>;
      /** When it is due: at once, or at its end if its queue does not let it in. */
      readonly untilMs: number;
      readonly tree: Pick<NewRun['event'], 'rootRun' | 'heldTasks'>;
      readonly payload: string;
      readonly lease?: Lease | undefined;
    }
  | {
      readonly type: 'import-runs';
      readonly runs: readonly Extract<Operation, { type: 'create-run' }>[];
      readonly asked: readonly Told[];
    }
  | ({ readonly type: 'claim' } & ClaimOptions)
  | {
      readonly type: 'renew';
      readonly owner: string;
      readonly runIds: readonly string[];
      readonly nowMs: number;
      readonly leaseMs: number;
    }
  | {
      readonly type: 'remove-ended';
      readonly beforeMs: number;
      readonly limit: number;
      readonly isOwn?: boolean;
    }
  | ({ readonly type: 'remove-definitions' } & RemoveDefinitions)
  | ({ readonly type: 'remove-events' } & RemoveEvents)
  | ({ readonly type: 'trim-events' } & TrimEvents)
  | {
      readonly type: 'publish';
      readonly tenant: string;
      readonly event: CloudEvent;
      readonly by: string;
      readonly atMs: number;
    }
  | { readonly type: 'append'; readonly append: Append }
  | { readonly type: 'reserve-tasks'; readonly claim: Claim; readonly wanted: ReserveTasks }
  | { readonly type: 'outbox'; readonly operation: OutboxOperation }
  | ({ readonly type: 'release'; readonly claim: Claim } & ReleaseOptions)
  | ({
      readonly type: 'change-queue';
      readonly tenant: string;
      readonly name: string;
      readonly atMs: number;
    } & QueueChange)
  | {
      readonly type: 'request';
      readonly tenant: string;
      readonly runId: string;
      readonly kind: RunRequest['kind'];
      readonly payload: string;
      readonly by: string;
      readonly atMs: number;
    };

export function createOperation({ event, ...run }: NewRun): Extract<Operation, { type: 'create-run' }> {
  const untilMs = run.queue === undefined ? run.atMs : queuedUntil(event);
  const { rootRun, heldTasks } = event;
  const tree = { ...(rootRun !== undefined && { rootRun }), ...(heldTasks !== undefined && { heldTasks }) };
  return { type: 'create-run', run, untilMs, tree, payload: JSON.stringify(event) };
}

export interface ToWriter {
  readonly id: number;
  readonly operation: Operation;
}

export type Outcome =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly problem: string };

export type FromWriter =
  | { readonly type: 'ready' }
  | { readonly type: 'broken'; readonly problem: string }
  | { readonly type: 'outcomes'; readonly outcomes: readonly Outcome[] };
