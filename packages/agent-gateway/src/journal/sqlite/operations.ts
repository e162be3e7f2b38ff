import type {
  Append,
  Claim,
  NewRun,
  RunRequest,
  StoredDefinition,
  StoredWorkflow,
} from '../../domain/journal.ts';
import type { CloudEvent } from '../../domain/run-events.ts';
import type { RunStatus } from '../../domain/run-state.ts';

/** What the writer thread can do. Each is a part of one transaction with whatever else waits. */
export type Operation =
  | { readonly type: 'put-definition'; readonly definition: StoredDefinition; readonly atMs: number }
  | { readonly type: 'put-workflow'; readonly tenant: string; readonly workflow: StoredWorkflow }
  | { readonly type: 'create-run'; readonly run: Omit<NewRun, 'event'>; readonly payload: string }
  | {
      readonly type: 'claim';
      readonly owner: string;
      readonly nowMs: number;
      readonly leaseMs: number;
      readonly limit: number;
    }
  | {
      readonly type: 'renew';
      readonly owner: string;
      readonly runIds: readonly string[];
      readonly nowMs: number;
      readonly leaseMs: number;
    }
  | { readonly type: 'remove-ended'; readonly beforeMs: number; readonly limit: number }
  | {
      readonly type: 'publish';
      readonly tenant: string;
      readonly event: CloudEvent;
      readonly by: string;
      readonly atMs: number;
    }
  | { readonly type: 'append'; readonly append: Append }
  | {
      readonly type: 'release';
      readonly claim: Claim;
      readonly wakeAtMs: number;
      readonly status: RunStatus;
      readonly nowMs: number;
    }
  | {
      readonly type: 'request';
      readonly tenant: string;
      readonly runId: string;
      readonly kind: RunRequest['kind'];
      readonly payload: string;
      readonly by: string;
      readonly atMs: number;
    };

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
