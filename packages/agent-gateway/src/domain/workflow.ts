/** A definition in the form that the engine reads: names resolved, durations in milliseconds, expressions found. */
export interface Workflow {
  /** SHA-256 of the canonical document; a run is pinned to it. */
  readonly hash: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  /** As it was written. */
  readonly document: unknown;
  readonly limits: LimitOverrides;
  /** Its runs share a queue by this key; by the name of the workflow without one. */
  readonly concurrency?: { readonly key?: Template; readonly limit: number } | undefined;
  readonly priority: number;
  /** How long a run stays after its end; as long as the journal keeps it without. */
  readonly keepEndedMs?: number | undefined;
  /** The document's own task list, as a `do` with the empty path. */
  readonly root: TaskNode;
  /** Every task by its path, the root included. */
  readonly tasks: ReadonlyMap<string, TaskNode>;
}

/** What `metadata.gateway.limits` of a document may lower. */
export interface LimitOverrides {
  readonly maxSteps?: number;
  readonly maxVisits?: number;
  readonly maxRunMs?: number;
  readonly maxFanOut?: number;
  readonly maxLiveTasks?: number;
  readonly maxRepeats?: number;
  readonly maxCostNanoUsd?: string;
}

/** Milliseconds, or an expression that gives a duration when the task begins (specification 1.0, "Duration"). */
export type Duration = number | Template;

export type InDoubtPolicy = 'retry' | 'park' | 'fail';

export interface TaskNode {
  /** JSON pointer of the task in its document: `/do/0/fetch`. The root is the empty string. */
  readonly path: string;
  readonly name: string;
  /** `do`, `set`, `call:http`: the key in the registry of task types. */
  readonly type: string;
  /** What `$task` describes. */
  readonly subject: TaskSubject;
  readonly condition: Template | undefined;
  /** What it begins with, when that is not what the task before it gave. */
  readonly startsFrom: Template | undefined;
  readonly inputFrom: Template | undefined;
  readonly outputAs: Template | undefined;
  readonly exportAs: Template | undefined;
  readonly schemas: NodeSchemas;
  readonly timeout: Duration | undefined;
  /** Where the list goes on after it (`then`). */
  readonly directive: Directive;
  /** The next task of the same list; `null` for the last one. */
  readonly following: string | null;
  /** First task of the list inside; `undefined` for a task without one, `null` for an empty list. */
  readonly first: string | null | undefined;
  readonly onInDoubt: InDoubtPolicy | undefined;
  /** First task of the list that undoes this one. */
  readonly compensation: Next | undefined;
  /** The agent that acts in it, as `namespace/name`: what scopes and policies decide about. */
  readonly agent: string | undefined;
  /** What the task type made of its own keys. */
  readonly options: unknown;
}

/** A task as its author sees it (specification 1.0, "Task Descriptor"). */
export interface TaskSubject {
  readonly name: string;
  readonly reference: string;
  /** As it was written. */
  readonly definition: unknown;
}

/** JSON Schemas of what goes in before `input.from`, of what comes out after `output.as`, and of the new context. */
export interface NodeSchemas {
  readonly input?: unknown;
  readonly output?: unknown;
  readonly export?: unknown;
}

/** A flow directive with names resolved: a path is a task of the same list. */
export type Directive = 'continue' | 'end' | 'exit' | `/${string}`;

/** Where the list goes on: a path, `null` when the list is at its end, `end` when the whole workflow is. */
export type Next = `/${string}` | 'end' | null;

export function nextOf(node: TaskNode, directive: Directive): Next {
  switch (directive) {
    case 'continue':
      // Paths of tasks in a list begin with a slash; only the root, which has no follower, does not.
      return node.following as Next;
    case 'exit':
      return null;
    default:
      return directive;
  }
}

/** A value of a definition with its runtime expressions found. */
export type Template =
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'expression'; readonly source: string }
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, Template])[] }
  | { readonly kind: 'array'; readonly items: readonly Template[] };
