import type { RunError } from './run-events.ts';
import type { CallState } from './run-state.ts';
import type { Directive, InDoubtPolicy, TaskNode, Template } from './workflow.ts';

/** What a task type may ask about the definition while it is compiled. Every mistake is collected, none is thrown. */
export interface CompileContext {
  /** JSON pointer of the task. */
  readonly path: string;
  mistake(pointer: string, message: string): void;
  /** A value in which `${ … }` strings are expressions. */
  template(value: unknown, pointer: string): Template;
  /** A string that is an expression, with or without `${ }`. */
  expression(value: unknown, pointer: string): Template;
  /** A flow directive, checked against the names of the list the task stands in. */
  directive(value: unknown, pointer: string): Directive;
  /** A JSON Schema, checked like the expressions before the definition is accepted. */
  schema(value: unknown, pointer: string): void;
  /** Milliseconds of an ISO 8601 duration or a duration object. */
  durationMs(value: unknown, pointer: string): number;
  /** Compiles a list inside; gives the path of its first task. */
  list(value: unknown, pointer: string): string | null;
}

/** Evaluates templates of one task: `.` is the task's input, `$context`, `$workflow` and the rest are in scope. */
export interface TaskScope {
  evaluate(template: Template): Promise<unknown>;
  readonly input: unknown;
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

/** What a task wants next. A pure function of what the journal holds gives it. */
export type Move =
  | { readonly type: 'calls'; readonly calls: readonly PlannedCall[] }
  | { readonly type: 'complete'; readonly output: unknown; readonly directive?: Directive }
  | { readonly type: 'sleep'; readonly untilMs: number }
  | { readonly type: 'fail'; readonly error: Omit<RunError, 'instance'> };

export interface TaskView<Options, Arguments> {
  readonly node: TaskNode;
  readonly options: Options;
  readonly arguments: Arguments;
  readonly input: unknown;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly calls: ReadonlyMap<string, CallState>;
}

export interface TaskDefinition<Options, Arguments> {
  /** `set`, `call:http`. */
  readonly type: string;
  /** Keys of the task that are its own, beside those that every task has. */
  readonly keys: readonly string[];
  /** Reads its own keys of the definition. */
  compile(definition: Readonly<Record<string, unknown>>, context: CompileContext): Options;
  /** Evaluates what the task needs. The result is recorded, so that it is evaluated once however often a worker dies. */
  prepare(options: Options, scope: TaskScope): Promise<Arguments>;
  /** Decides from what is recorded, and from nothing else (AG-3). */
  plan(view: TaskView<Options, Arguments>): Move;
}

/** A task type whose own types are hidden, so that all fit in one list. */
export interface TaskType {
  readonly type: string;
  readonly keys: readonly string[];
  compile(definition: Readonly<Record<string, unknown>>, context: CompileContext): unknown;
  prepare(options: unknown, scope: TaskScope): Promise<unknown>;
  plan(view: TaskView<unknown, unknown>): Move;
}

export function defineTask<Options, Arguments>(definition: TaskDefinition<Options, Arguments>): TaskType {
  // Options come from this type's own `compile`, arguments from its own `prepare` by way of the journal.
  return definition as unknown as TaskType;
}

export type TaskTypes = ReadonlyMap<string, TaskType>;
