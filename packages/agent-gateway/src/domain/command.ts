import type { ReceivedEvent, RunEvent } from './run-events.ts';
import type { Branch, OpenTask } from './run-state.ts';
import type { AwaitedEvents, PlannedBranch, PlannedCall, PlannedChild } from './task-type.ts';
import type { Next, TaskNode } from './workflow.ts';

/** What to do next. The decision is one of these; the run loop does it. */
export type Command =
  /** Evaluate the task's condition, input and arguments, and begin it. */
  | {
      readonly type: 'begin';
      readonly node: TaskNode;
      readonly visit: number;
      readonly input: unknown;
      /** The list it stands in; undefined for the root. */
      readonly branch: Branch | undefined;
    }
  /** Evaluate the conditions of these lists, in this order, and open them. */
  | { readonly type: 'open'; readonly task: OpenTask; readonly branches: readonly PlannedBranch[] }
  /** Make these calls. */
  | { readonly type: 'call'; readonly task: OpenTask; readonly start: readonly StartedCall[] }
  /** Evaluate whether the event is what the task waits for, and write down which. */
  | {
      readonly type: 'match';
      readonly task: OpenTask;
      readonly event: ReceivedEvent;
      readonly awaited: AwaitedEvents;
    }
  /** Ask for the right to have at least so many tasks open, and write down what was given. */
  | { readonly type: 'reserve'; readonly path: string; readonly least: number }
  /** Create the run, and write down that it is created, in one transaction. */
  | { readonly type: 'spawn'; readonly task: OpenTask; readonly child: PlannedChild }
  /** Transform the output and end the task. */
  | { readonly type: 'complete'; readonly task: CompletedTask; readonly next: Next }
  /** Write these down and decide again. */
  | { readonly type: 'record'; readonly events: readonly RunEvent[] }
  /** Nothing to do here before that time, or before a record touches it. */
  | { readonly type: 'wait'; readonly untilMs: number; readonly isListening?: true }
  | { readonly type: 'stop' };

export interface StartedCall {
  readonly call: PlannedCall;
  readonly attempt: number;
}

export interface CompletedTask {
  readonly node: TaskNode;
  readonly visit: number;
  readonly input: unknown;
  readonly startedAtMs: number;
  readonly branch: Branch | undefined;
  /** The output before `output.as`. */
  readonly output: unknown;
  /** Whether the output is what the fold has already. */
  readonly isUnchanged: boolean;
}
