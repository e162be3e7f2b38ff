import type { Caller } from '@strata/shared/identity/caller.ts';

/** Something that people are asked to decide, and what they are shown. */
export interface ApprovalQuestion {
  readonly title: string;
  readonly description: string;
  /** What is decided about. The decision is bound to exactly this. */
  readonly content: unknown;
  /** JSON Schema of the data that comes with a decision; undefined when none is wanted. */
  readonly form: unknown;
  /** Names of principals, `team:NAME`, `project:NAME`, or `*` for everybody in the organisation. */
  readonly assignees: readonly string[];
  readonly deadlineAtMs: number;
}

export type ApprovalStatus = 'pending' | 'approved' | 'rejected' | 'expired' | 'void';

export interface Approval extends ApprovalQuestion {
  readonly id: string;
  readonly tenant: string;
  readonly runId: string;
  readonly taskPath: string;
  /** `namespace/name:version` */
  readonly workflow: string;
  /** SHA-256 over title, description, content and form: what a decision must name (G7). */
  readonly digest: string;
  readonly status: ApprovalStatus;
  readonly createdAtMs: number;
  readonly decision: ApprovalDecision | undefined;
}

export interface ApprovalDecision {
  readonly decision: 'approved' | 'rejected';
  readonly by: string;
  readonly atMs: number;
  readonly comment: string | null;
  readonly data: unknown;
}

/** Where approvals are kept, beside the journal: people look for them across runs. */
export interface Approvals {
  /** Asks once: the same id again changes nothing. */
  ask(approval: Omit<Approval, 'status' | 'decision'>): Promise<void>;
  get(tenant: string, id: string): Promise<Approval | undefined>;
  /** Pending ones, oldest first. */
  list(page: {
    readonly tenant: string;
    readonly status: ApprovalStatus;
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<Approval[]>;
  /** Adds assignees to one that is pending. */
  escalate(id: string, to: readonly string[]): Promise<void>;
  /** Ends one that is pending; gives how it had ended when it was not. */
  end(id: string, status: 'expired'): Promise<ApprovalStatus>;
  /** Writes the decision and its audit entry in one transaction; false when it was not pending any more. */
  decide(approval: Approval, decision: ApprovalDecision, caller: Caller): Promise<boolean>;
  /** The run has the decision. */
  delivered(id: string): Promise<void>;
  /** Those after this id, in its order, of which nothing more can come: they have ended, or their deadline has passed. */
  over(page: {
    readonly beforeMs: number;
    readonly after: string;
    readonly limit: number;
  }): Promise<Pick<Approval, 'id' | 'tenant' | 'runId'>[]>;
  remove(ids: readonly string[]): Promise<void>;
  /** Decisions that their runs do not have yet. */
  undelivered(olderThanMs: number): Promise<Approval[]>;
}

/** The call of a task that puts its question. */
export const askCall = 'ask';

/** Signals of this name carry decisions; nobody else may send them. */
export const decisionSignal = 'strata.approval';
/** Names of signals that only the gateway itself sends begin so. */
export const reservedSignals = 'strata.';

/** Whether the question is put to this caller. */
export function isAssigned(
  { assignees }: Pick<Approval, 'assignees'>,
  { principal, team, project }: Pick<Caller, 'principal' | 'team' | 'project'>,
): boolean {
  const names = ['*', principal, `team:${team}`, `project:${project}`];
  return assignees.some(assignee => names.includes(assignee));
}

/** What a decision gives to the task that asked. */
export interface DecisionSignal {
  readonly approval: string;
  readonly decision: ApprovalDecision;
}
