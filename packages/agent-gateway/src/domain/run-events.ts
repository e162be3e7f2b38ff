import type { QueuePlace } from './queue.ts';
import type { NotUndone, RunError } from './run-error.ts';
import type { GrantedLimits, RunIdentity, RunLimits } from './run-terms.ts';
import type { LimitOverrides, Next } from './workflow.ts';

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Something that was sent to the run: a signal, or an event it listens to. */
export interface ReceivedEvent {
  /** Counts through the run; what it is taken by. */
  readonly receipt: number;
  /** The same however often it is sent (CloudEvents `id` and `source`). */
  readonly id: string;
  /** The `type` of a CloudEvent; the name of a signal. */
  readonly type: string;
  /** The `source` of a CloudEvent; `signal`. */
  readonly source: string;
  /** How it came: addressed to this run, or published. Only the gateway itself sends signals whose name begins with `strata.`. */
  readonly via: 'signal' | 'event';
  /** The whole CloudEvent. */
  readonly value: unknown;
  readonly by: string;
  /** What the condition of the task that took it gave, when that was more than `true`. */
  readonly match?: unknown;
}

/** How a run that another waits for has ended. */
export interface ChildOutcome {
  readonly status: 'completed' | 'failed' | 'cancelled' | 'terminated';
  readonly output?: unknown;
  readonly error?: RunError;
}

/** What the agent of a task costs, as it was when the task began. */
export interface AgentFee {
  /** As text. */
  readonly nanoUsd: string;
  readonly version: string;
}

/** What undoes a task that has completed. */
export interface CompensationStep {
  readonly first: Next;
}

export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly [attribute: string]: unknown;
}

/** Where a run has what it began with. */
export interface Fork {
  readonly run: string;
  /** It begins before this one. */
  readonly task: string;
  /** The last record of the other run that it has too. */
  readonly to: number;
  /** What these records cost the other run, as integer nano-USD. */
  readonly keptNanoUsd: string;
}

/** Where an imported run comes from. */
export interface Imported {
  readonly run: string;
  /** SHA-256 of the export. */
  readonly digest: string;
  /** The last record that was there before. */
  readonly to: number;
}

interface OfTask {
  readonly path: string;
  /** Counts from 1 each time the task begins; with the path it names one execution for ever. */
  readonly visit: number;
}

interface OfCall extends OfTask {
  /** Names the call within its task: `llm-1`, `tool-1-0`. */
  readonly call: string;
}

export type Resolution =
  | { readonly action: 'retry' }
  | { readonly action: 'complete'; readonly result: unknown }
  | { readonly action: 'fail'; readonly detail: string };

/** What has happened to a run. The journal is a list of these and nothing else is state. */
export type RunEvent =
  | {
      readonly type: 'run-created';
      readonly definition: string;
      readonly workflow: string;
      readonly input: unknown;
      readonly identity: RunIdentity;
      readonly limits: RunLimits;
      /** What its submission asked for, whatever else there was to lower them: for what goes on with its records. */
      readonly lowered?: LimitOverrides;
      /** What it was granted where its records come from. */
      readonly granted?: GrantedLimits;
      readonly deadlineAtMs: number;
      /** When the right to act ends that the run was given. */
      readonly expiresAtMs?: number;
      readonly traceparent: string;
      /** The trace begins with the run: the parent that `traceparent` names is no span. */
      readonly isFirstOfTrace?: true;
      readonly thread?: string;
      /** That of its thread. Without it there is none when it begins. */
      readonly context?: unknown;
      /** The run that waits for this one. */
      readonly parent?: string;
      readonly queue?: QueuePlace;
      /** Queues of the runs that wait for this one. */
      readonly queuesAround?: readonly string[];
      readonly fork?: Fork;
      readonly imported?: Imported;
      /** The run that the tree of runs began with; absent for that one itself. */
      readonly rootRun?: string;
      /** Tasks that it may have open; absent when nothing bounds them. */
      readonly heldTasks?: number;
    }
  /** It may have so many tasks open: what the tree of runs may have is parted anew. */
  | { readonly type: 'tasks-reserved'; readonly total: number }
  /** The span context under which the run's work is traced; written by the first worker. */
  | { readonly type: 'run-started'; readonly traceparent: string }
  | ({
      readonly type: 'task-started';
      /** Present when `input.from` changed it. */
      readonly input?: unknown;
      readonly arguments?: unknown;
      /** The list it stands in; absent for the root. */
      readonly branch?: number;
      /** Present when the task is a list: where it begins. */
      readonly first?: Next;
      /** It answers failures of what is inside, and undoes before it does. */
      readonly undoes?: true;
      readonly deadlineAtMs?: number;
      readonly fee?: AgentFee;
    } & OfTask)
  | ({ readonly type: 'task-skipped'; readonly branch: number; readonly next: Next } & OfTask)
  /** A task goes through a list inside it. */
  | ({
      readonly type: 'branch-opened';
      readonly branch: number;
      readonly first: Next;
      /** What goes in: the task's own input unless it is given, or is what the last list gave. */
      readonly data?: unknown;
      readonly takesLast?: true;
      readonly variables?: Readonly<Record<string, unknown>>;
      readonly isCollected?: true;
      readonly isCompensation?: true;
    } & OfTask)
  /** The condition for opening it did not hold. */
  | ({ readonly type: 'branch-refused'; readonly first: Next } & OfTask)
  /** A run was created with this record; `isDetached` when nobody waits for it. */
  | ({
      readonly type: 'child-started';
      readonly runId: string;
      readonly isDetached?: true;
      /** What it was given of the tasks that this one may have open. */
      readonly givenTasks?: number;
    } & OfTask)
  | { readonly type: 'child-ended'; readonly runId: string; readonly outcome: ChildOutcome }
  /** A run that this one waits for is paused because a budget has not enough: they have the same, so this one is paused with it. */
  | { readonly type: 'child-held'; readonly runId: string; readonly error: RunError }
  /** Events of these types come to the run from now on; `*` is every type. */
  | { readonly type: 'events-subscribed'; readonly types: readonly string[] }
  | { readonly type: 'event-received'; readonly event: Omit<ReceivedEvent, 'receipt' | 'match'> }
  /** The task has taken it. */
  | ({ readonly type: 'event-taken'; readonly receipt: number; readonly match?: unknown } & OfTask)
  /** It is not what the task waits for. */
  | ({ readonly type: 'event-passed'; readonly receipt: number } & OfTask)
  /** Published with this record, and not without it (W11). */
  | ({ readonly type: 'event-emitted'; readonly event: CloudEvent } & OfTask)
  | ({
      readonly type: 'call-started';
      readonly effect: string;
      readonly label: string;
      readonly attempt: number;
      /** The same for every attempt, different for every visit (W5). */
      readonly key: string;
    } & OfCall)
  /** What the call has said since, for those who watch. Decides nothing. */
  | ({ readonly type: 'call-progressed'; readonly text: string } & OfCall)
  | ({
      readonly type: 'call-completed';
      readonly result: unknown;
      /** Integer nano-USD as text; absent when the price is not known ($-2). */
      readonly costNanoUsd?: string;
      readonly usage?: Usage;
    } & OfCall)
  | ({
      readonly type: 'call-failed';
      readonly error: RunError;
      /** Present when it will be tried again. */
      readonly retryAtMs?: number;
    } & OfCall)
  /** A budget had not enough for it: nothing was done. The run is paused then, and the call is made when it is resumed ($-1). */
  | ({ readonly type: 'call-held'; readonly error: RunError } & OfCall)
  /** Its worker died after it had begun: whether it took effect is not known (AG-1). */
  | ({ readonly type: 'call-in-doubt' } & OfCall)
  /** Waits for an operator. */
  | ({ readonly type: 'call-parked' } & OfCall)
  | ({ readonly type: 'call-resolved'; readonly resolution: Resolution; readonly by: string } & OfCall)
  | ({
      readonly type: 'task-completed';
      /** Absent when it is what went in, or what the list inside left, unchanged. */
      readonly output?: unknown;
      /** The new `$context`; absent when the task exports nothing. */
      readonly context?: unknown;
      readonly next: Next;
      readonly compensation?: CompensationStep;
    } & OfTask)
  | ({
      readonly type: 'task-failed';
      readonly error: RunError;
      /** Present when it failed before it began: the list it would have stood in. */
      readonly branch?: number;
    } & OfTask)
  | { readonly type: 'cancel-requested'; readonly by: string; readonly detail?: string }
  /** By somebody, or by a limit that the run has met. Calls under way end; nothing new begins. */
  | { readonly type: 'run-paused'; readonly by: string; readonly error?: RunError }
  | {
      readonly type: 'run-resumed';
      readonly by: string;
      readonly limits?: RunLimits;
      /** What of these it was granted now. */
      readonly granted?: GrantedLimits;
      readonly deadlineAtMs?: number;
    }
  /** At once, with nothing undone. */
  | { readonly type: 'run-terminated'; readonly by: string; readonly detail?: string }
  | { readonly type: 'run-completed'; readonly output: unknown; readonly notUndone?: readonly NotUndone[] }
  | { readonly type: 'run-failed'; readonly error: RunError; readonly notUndone?: readonly NotUndone[] }
  | { readonly type: 'run-cancelled'; readonly notUndone?: readonly NotUndone[] }
  /** The records before are those of another run; here this one begins. */
  | {
      readonly type: 'run-forked';
      readonly run: string;
      readonly by: string;
      readonly limits: RunLimits;
      readonly deadlineAtMs: number;
      readonly traceparent: string;
      readonly isFirstOfTrace?: true;
    }
  /** It goes on elsewhere, and never here again. */
  | { readonly type: 'run-exported'; readonly by: string }
  /** The records before were made elsewhere, by another id; here it goes on. */
  | {
      readonly type: 'run-imported';
      readonly by: string;
      readonly run: string;
      readonly keyRun: string;
      readonly limits: RunLimits;
      readonly deadlineAtMs: number;
      /** Tasks that it may have open. Absent when nothing bounds them, and in journals from before they were said here. */
      readonly heldTasks?: number;
      readonly traceparent: string;
      readonly isFirstOfTrace?: true;
      /** Runs that it waits for, by the id that each had. */
      readonly children: Readonly<Record<string, string>>;
      /** Tasks whose question has to be put to people here. */
      readonly asked: readonly { readonly path: string; readonly visit: number }[];
    }
  /** It goes on under another version of its definition. */
  | {
      readonly type: 'run-migrated';
      readonly by: string;
      readonly definition: string;
      readonly workflow: string;
      readonly version: string;
      /** The version before. */
      readonly from: string;
      /** Under that definition. Absent in journals from before they changed with it, as the deadline is. */
      readonly limits?: RunLimits;
      readonly deadlineAtMs?: number;
    }
  /** The run had ended and goes on as it was after record `to`: what came later is put aside. */
  | {
      readonly type: 'run-rewound';
      readonly verb: 'retry' | 'rewind';
      readonly by: string;
      readonly to: number;
      /** Tasks that are open again. */
      readonly reopened: readonly { readonly path: string; readonly visit: number }[];
      readonly deadlineAtMs: number;
    };

export interface JournalRecord {
  /** From 1, without gaps, within one run. */
  readonly seq: number;
  readonly atMs: number;
  readonly event: RunEvent;
  /** Size of the event as it is kept. */
  readonly bytes: number;
}
