import type { CallState } from './call-state.ts';
import { corruptJournal } from './journal-errors.ts';
import type { QueuePlace } from './queue.ts';
import type { NotUndone, RunError } from './run-error.ts';
import type { AgentFee, ChildOutcome, CompensationStep, ReceivedEvent } from './run-events.ts';
import type { GrantedLimits, RunIdentity, RunLimits } from './run-terms.ts';
import type { LimitOverrides, Next } from './workflow.ts';

export const runStatuses = [
  'pending',
  'running',
  'waiting',
  'paused',
  'in_doubt',
  'completed',
  'failed',
  'cancelled',
  'terminated',
  /** Exported: it goes on elsewhere. */
  'moved',
] as const;
export type RunStatus = (typeof runStatuses)[number];

export interface BranchOutcome {
  readonly index: number;
  /** First task of the list, which tells a `catch` from what it catches. */
  readonly list: Next;
  readonly endedAtMs: number;
  readonly result:
    | { readonly status: 'completed'; readonly output: unknown }
    | { readonly status: 'failed'; readonly error: RunError }
    /** The condition under which it was to be opened did not hold; what the list before it gave stays. */
    | { readonly status: 'refused'; readonly kept: unknown };
}

/** What became of the lists inside a task. Kept as sums, so that looking at ten thousand of them costs as much as looking at one. */
export interface Branches {
  opened: number;
  open: number;
  completed: number;
  /** By index; only of those that were opened to be collected. */
  readonly outputs: unknown[];
  first: BranchOutcome | undefined;
  last: BranchOutcome | undefined;
  failed: BranchOutcome | undefined;
}

/** A list that is being walked: the root's, a `do`, a branch of a `fork`, one turn of a `for`, a `try` or its `catch`. */
export interface Branch {
  /** Counts through the run. */
  readonly id: number;
  readonly owner: OpenTask;
  readonly index: number;
  readonly list: Next;
  /** What it undoes; what it gives is nobody's output then. */
  readonly undone: Compensation | undefined;
  readonly isCollected: boolean;
  readonly variables: Readonly<Record<string, unknown>>;
  /** Output of the last task in the list: the raw input of the next one. */
  data: unknown;
  next: Next;
  task: OpenTask | undefined;
  /** How often each task of the list has begun, and with what. */
  readonly entries: Map<string, Entry>;
  /** Tasks of the list that waited for a time or for somebody. */
  rests: number;
}

export interface Entry {
  readonly count: number;
  readonly input: unknown;
  /** Times in a row that it began with an input that it had met one or two visits before. */
  readonly repeats: number;
  readonly before: unknown;
  readonly rests: number;
}

export interface Compensation extends CompensationStep {
  readonly seq: number;
  readonly input: unknown;
  readonly output: unknown;
}

export interface StartedChild {
  readonly runId: string;
  readonly outcome: ChildOutcome | undefined;
  /** It is paused, for want of money. */
  readonly held?: RunError;
}

/** A task that has begun and not ended. */
export interface OpenTask {
  readonly path: string;
  readonly visit: number;
  readonly input: unknown;
  readonly arguments: unknown;
  readonly startedAtMs: number;
  deadlineAtMs: number | undefined;
  /** The list it stands in; undefined for the root. */
  readonly branch: Branch | undefined;
  readonly calls: Map<string, CallState>;
  readonly open: Map<number, Branch>;
  readonly branches: Branches;
  /** What it has taken from the mailbox, in the order in which it was taken. */
  readonly events: ReceivedEvent[];
  /** Receipts up to here were looked at. */
  seenReceipt: number;
  hasEmitted: boolean;
  /** The run that it has started, and how that ended. */
  child: StartedChild | undefined;
  readonly undoes: boolean;
  readonly fee: AgentFee | undefined;
  /** What to undo if this fails, oldest first. Kept by the root and by tasks that answer failures. */
  compensations: Compensation[];
}

export interface Pause {
  readonly by: string;
  readonly atMs: number;
  /** The limit that the run met; undefined when somebody asked for the pause. */
  readonly error: RunError | undefined;
}

/**
 * The fold of a journal. `apply` changes it in place, because a run of ten thousand tasks would otherwise copy its maps ten
 * thousand times; nobody else may.
 */
export interface RunState {
  status: RunStatus;
  /** Sequence number of the last record that was folded in. */
  position: number;
  workflow: string;
  definition: string;
  /** Records up to here are those of the run that it was forked from. */
  forkedTo: number;
  input: unknown;
  context: unknown;
  output: unknown;
  error: RunError | undefined;
  identity: RunIdentity;
  limits: RunLimits;
  /** What its submission, or that of the run that it comes of, asked for. */
  lowered: LimitOverrides | undefined;
  granted: GrantedLimits;
  createdAtMs: number;
  /** When the run has taken as long as its limit says; it is paused then. */
  deadlineAtMs: number;
  /** When the right to act for its principal ends; it fails then. */
  expiresAtMs: number;
  /** Parent of the spans of the next worker. */
  traceparent: string;
  /** That parent is no span: the trace began with the run. */
  isFirstOfTrace: boolean;
  isStarted: boolean;
  isCancelRequested: boolean;
  pause: Pause | undefined;
  /** By `taskKey`. */
  readonly tasks: Map<string, OpenTask>;
  readonly lists: Map<number, Branch>;
  lastBranch: number;
  root: OpenTask | undefined;
  /** The first hundred. */
  readonly notUndone: NotUndone[];
  /** Set when the root has failed and nothing is left to undo. */
  failure: RunError | undefined;
  /** Events that came and that no task has taken, by receipt. */
  readonly mailbox: Map<number, ReceivedEvent>;
  lastReceipt: number;
  /** What came already, so that what is sent twice is received once (F77). */
  readonly received: Set<string>;
  readonly subscribed: Set<string>;
  /** The run that waits for this one. */
  parent: string | undefined;
  /** The run that the tree of runs began with; undefined for that one itself. */
  rootRun: string | undefined;
  /** Tasks that it may have open before it has to ask for more. */
  heldTasks: number;
  queue: QueuePlace | undefined;
  /** The run that names its calls, when it was imported: their keys stay. */
  keyRun: string | undefined;
  /** Queues of the runs that wait for this one. */
  queuesAround: readonly string[];
  /** Runs that tasks wait for, by id. */
  readonly children: Map<string, OpenTask>;
  /** Runs that were paused with this one and go on with it since the last records: to be told, as orphans are. */
  released: string[];
  /** Runs that nobody waits for any more since the last records. Whoever writes those down tells them, and empties it. */
  orphans: string[];
  readonly visits: Map<string, number>;
  parkedCalls: number;
  steps: number;
  recordedBytes: number;
  costNanoUsd: bigint;
  inputTokens: number;
  outputTokens: number;
  /** Calls whose price is not known; the sum above leaves them out. */
  unpricedCalls: number;
  /** What the last records touched: the only places where something new can be decided. Whoever decides empties it. */
  readonly touched: Set<OpenTask | Branch>;
}

export const terminalStatuses: ReadonlySet<RunStatus> = new Set([
  'completed',
  'failed',
  'cancelled',
  'terminated',
  'moved',
]);

export const taskKey = ({ path, visit }: { readonly path: string; readonly visit: number }) =>
  `${path}#${visit}`;

/** A task that is known to be open. */
export function openTask(state: RunState, of: { readonly path: string; readonly visit: number }): OpenTask {
  const task = state.tasks.get(taskKey(of));
  if (task === undefined) throw corruptJournal(`'${taskKey(of)}' is not open`);
  return task;
}

/** What a run is to those outside. */
export function shownStatus(state: RunState): RunStatus {
  if (terminalStatuses.has(state.status)) return state.status;
  if (state.pause !== undefined) return 'paused';
  return state.parkedCalls > 0 ? 'in_doubt' : state.status;
}

export const isBranch = (unit: OpenTask | Branch): unit is Branch => 'owner' in unit;

/** Variables of the lists around, the innermost first in line. */
export function variablesAt(branch: Branch | undefined): Readonly<Record<string, unknown>> {
  if (branch === undefined) return {};
  const outer = branch.owner.branch;
  return outer === undefined ? branch.variables : { ...variablesAt(outer), ...branch.variables };
}
