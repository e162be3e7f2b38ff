import type { CallState } from './call-state.ts';
import type { RunError } from './run-error.ts';
import type { CloudEvent, ReceivedEvent } from './run-events.ts';
import type { Branches, OpenTask } from './run-state.ts';
import type { Directive, Duration, InDoubtPolicy, Next, TaskNode, Template } from './workflow.ts';

/** What a task type may ask about the definition while it is compiled. Every mistake is collected, none is thrown. */
export interface CompileContext {
  /** JSON pointer of the task. */
  readonly path: string;
  mistake(pointer: string, message: string): void;
  /** A value in which `${ … }` strings are expressions. `variables`: names beside the standard ones and those around. */
  template(value: unknown, pointer: string, variables?: readonly string[]): Template;
  /** A string that is an expression, with or without `${ }`. */
  expression(value: unknown, pointer: string, variables?: readonly string[]): Template;
  /** A flow directive, checked against the names of the list the task stands in. */
  directive(value: unknown, pointer: string): Directive;
  /** A JSON Schema, checked like the expressions before the definition is accepted. */
  schema(value: unknown, pointer: string): void;
  /** An ISO 8601 duration, a duration object, or an expression that gives one. */
  duration(value: unknown, pointer: string): Duration;
  /** Compiles a list inside; gives the path of its first task, for `PlannedBranch.first`. */
  list(value: unknown, pointer: string, variables?: readonly string[]): Next;
  /** Lists that follow one another as if they were one; gives the first task. `exit` in one of them ends them all. */
  flow(parts: readonly FlowPart[], variables?: readonly string[]): Next;
  /** What is found wrong at `pointer` is told at `source`, where its author put it. */
  relocate(pointer: string, source: string): void;
  /** A list of one task, which stands at this place itself: `{ name: task }`. */
  single(value: unknown, pointer: string): Next;
  /** A list for a task that is nothing but that list: the engine opens it when the task begins. */
  ownList(value: unknown, pointer: string): void;
}

export interface FlowPart {
  readonly value: unknown;
  readonly pointer: string;
  /** An expression without which none of its tasks is done. */
  readonly condition?: string;
  /** What its first task begins with; what the part before gave without. */
  readonly startsFrom?: Template;
}

/** Evaluates templates of one task: `.` is the task's input, `$context`, `$workflow` and the rest are in scope. */
export interface TaskScope {
  evaluate(template: Template): Promise<unknown>;
  readonly input: unknown;
  readonly nowMs: number;
}

/** One call to the outside, before it is made. Calls are the only thing in a task that has an effect. */
export interface PlannedCall {
  /** Unique within the task and the same each time the plan is made. */
  readonly id: string;
  /** Key in the registry of effects. */
  readonly effect: string;
  /** For people: `tools/call files_read`. */
  readonly label: string;
  readonly request: unknown;
  readonly inDoubt: InDoubtAnswer;
}

/**
 * What to do with a call that had begun when its worker died: repeat it (it is harmless, or its key makes it so), leave it to an
 * operator, give it up, or ask first with a harmless call of its own.
 */
export type InDoubtAnswer =
  | InDoubtPolicy
  | { readonly ask: PlannedCall; answer(result: unknown): InDoubtPolicy };

/** A list inside the task that is to be walked now, beside those that are open. */
export interface PlannedBranch {
  /** First task of the list, as `CompileContext.list` gave it. */
  readonly first: Next;
  /** What goes in: the task's own input, what the list that ended last gave, or this. */
  readonly data: 'input' | 'last' | { readonly value: unknown };
  /** In scope inside, as `$name`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Keep what it gives in `Branches.outputs`. */
  readonly isCollected?: boolean;
  /** Open it only if all of these hold, else record that it was refused. `.` is what goes in; `variables` are in scope. */
  readonly when?: readonly Template[];
  /** And none of these. */
  readonly unless?: readonly Template[];
}

/** Events that a task waits for: those it accepts and for which `when` (with `.` being the event) holds. */
export interface AwaitedEvents {
  /** Pure, quick, and the same every time. */
  accepts(event: ReceivedEvent): boolean;
  readonly when?: Template;
  /** In scope of `when`, as `$name`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** Types of CloudEvents to be delivered to this run, as globs; none for signals, which are addressed to it. */
  readonly types?: readonly string[];
}

/** A run of another workflow, in the name of this one. */
export interface PlannedChild {
  readonly workflow: { readonly namespace: string; readonly name: string; readonly version: string };
  readonly input: unknown;
  /** Nobody waits for it, and it goes on when this run has ended. */
  readonly isDetached: boolean;
}

/** What a task wants next. A pure function of what the journal holds gives it. */
export type Move =
  | { readonly type: 'calls'; readonly calls: readonly PlannedCall[] }
  /** Open these lists, in this order, and wait until one ends; none: wait for those that are open. */
  | { readonly type: 'branches'; readonly open: readonly PlannedBranch[] }
  /** Wait for an event, which comes to `TaskView.events`, but no longer than `untilMs`. */
  | { readonly type: 'events'; readonly awaited: AwaitedEvents; readonly untilMs?: number }
  /** Publish it once; `TaskView.hasEmitted` says that it is done. */
  | { readonly type: 'emit'; readonly event: CloudEvent }
  /** Start it once, and wait until it has ended: see `TaskView.child`. */
  | { readonly type: 'child'; readonly child: PlannedChild }
  /** An output that is the very value that went in, or that the last list gave, is not recorded a second time. */
  | { readonly type: 'complete'; readonly output: unknown; readonly directive?: Directive }
  | { readonly type: 'sleep'; readonly untilMs: number }
  /** An error with a place keeps it: what a list inside failed with is passed on as it is. */
  | { readonly type: 'fail'; readonly error: Omit<RunError, 'instance'> & { readonly instance?: string } };

export interface TaskView<Options, Arguments> {
  readonly node: TaskNode;
  readonly options: Options;
  readonly arguments: Arguments;
  readonly input: unknown;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly calls: ReadonlyMap<string, CallState>;
  readonly branches: Readonly<Branches>;
  readonly events: readonly ReceivedEvent[];
  readonly hasEmitted: boolean;
  readonly child: OpenTask['child'];
  /** From 0 to 1, the same for the same task and number on every worker. */
  jitter(number: number): number;
}

export interface TaskDefinition<Options, Arguments> {
  /** `set`, `call:http`. */
  readonly type: string;
  /** Keys of the task that are its own, beside those that every task has. */
  readonly keys: readonly string[];
  /** It can answer a failure of a list inside; before it does, what that list completed is undone. */
  readonly undoes?: boolean;
  /** Reads its own keys of the definition. */
  compile(definition: Readonly<Record<string, unknown>>, context: CompileContext): Options;
  /** The name, within the namespace of the workflow, of an agent that acts in the task: not every key may use it. */
  agentOf?(options: Options): string | undefined;
  /** How long the task may take, where its own keys say so; the `timeout` that every task may have comes first. */
  timeoutOf?(options: Options): Duration | undefined;
  /** Evaluates what the task needs. The result is recorded, so that it is evaluated once however often a worker dies. */
  prepare(options: Options, scope: TaskScope): Promise<Arguments>;
  /** Decides from what is recorded, and from nothing else (AG-3). */
  plan(view: TaskView<Options, Arguments>): Move;
}

/** A task type whose own types are hidden, so that all fit in one list. */
export interface TaskType {
  readonly type: string;
  readonly keys: readonly string[];
  readonly undoes?: boolean;
  compile(definition: Readonly<Record<string, unknown>>, context: CompileContext): unknown;
  agentOf?(options: unknown): string | undefined;
  timeoutOf?(options: unknown): Duration | undefined;
  prepare(options: unknown, scope: TaskScope): Promise<unknown>;
  plan(view: TaskView<unknown, unknown>): Move;
}

export function defineTask<Options, Arguments>(definition: TaskDefinition<Options, Arguments>): TaskType {
  // Options come from this type's own `compile`, arguments from its own `prepare` by way of the journal.
  return definition as unknown as TaskType;
}

export type TaskTypes = ReadonlyMap<string, TaskType>;
