import * as z from 'zod';
import type { CompileContext, TaskTypes } from '../domain/task-type.ts';
import type { Directive, LimitOverrides, TaskNode, Template, Workflow } from '../domain/workflow.ts';
import { parseDuration } from './duration.ts';
import type { Mistakes } from './mistakes.ts';
import { kindOfTask, sharedKeys } from './task-keys.ts';
import { compileTemplate, escapePointer, expressionIn, type FoundExpression } from './template.ts';

export interface Compiled {
  readonly workflow: Omit<Workflow, 'hash'>;
  /** Every expression with its place, for the check by the language itself. */
  readonly expressions: readonly FoundExpression[];
  /** Every JSON Schema with its place. */
  readonly schemas: readonly FoundSchema[];
}

export interface FoundSchema {
  readonly schema: unknown;
  readonly pointer: string;
}

const maxDepth = 16;
const maxTasks = 2000;
const reservedNames = new Set(['continue', 'end', 'exit']);

const gatewaySchema = z.strictObject({
  onInDoubt: z.enum(['retry', 'park', 'fail']).optional(),
  limits: z
    .strictObject({
      steps: z.int().min(1).optional(),
      visits: z.int().min(1).optional(),
      wallClock: z.unknown().optional(),
    })
    .optional(),
});

type Members = Readonly<Record<string, unknown>>;

/** Turns a checked document into the form the engine reads, and finds what is wrong with its tasks on the way. */
export class Compiler {
  readonly #types: TaskTypes;
  readonly #mistakes: Mistakes;
  readonly #tasks = new Map<string, TaskNode>();
  readonly #expressions: FoundExpression[] = [];
  readonly #schemas: FoundSchema[] = [];

  constructor(types: TaskTypes, mistakes: Mistakes) {
    this.#types = types;
    this.#mistakes = mistakes;
  }

  compile(document: Members): Compiled {
    const head = membersOf(document.document);
    const { namespace, name, version } = head;
    const gateway = this.#gateway(head, '/document');
    const root = this.#root(document);
    return {
      workflow: {
        namespace: String(namespace),
        name: String(name),
        version: String(version),
        limits: this.#limits(gateway?.limits),
        root,
        tasks: this.#tasks,
      },
      expressions: this.#expressions,
      schemas: this.#schemas,
    };
  }

  #root(document: Members): TaskNode {
    const node: TaskNode = {
      path: '',
      name: '',
      type: 'do',
      condition: undefined,
      ...this.#dataFlow(document, ''),
      exportAs: undefined,
      timeoutMs: this.#timeout(document, ''),
      directive: 'continue',
      following: null,
      first: this.#list(document.do, { pointer: '/do', depth: 1 }),
      onInDoubt: undefined,
      options: undefined,
    };
    this.#tasks.set('', node);
    return node;
  }

  #list(value: unknown, { pointer, depth }: { pointer: string; depth: number }): string | null {
    if (!Array.isArray(value)) {
      this.#mistakes.add(pointer, 'Expected a list of tasks.');
      return null;
    }
    if (depth > maxDepth) {
      this.#mistakes.add(pointer, `Lists are nested deeper than ${maxDepth}.`);
      return null;
    }
    const named = value
      .map((entry: unknown, index) => this.#named(entry, `${pointer}/${index}`))
      .filter(each => each !== undefined);
    const siblings = new Map<string, string>();
    for (const { name, path } of named) {
      if (reservedNames.has(name))
        this.#mistakes.add(path, `'${name}' is a flow directive and cannot name a task.`);
      if (siblings.has(name)) this.#mistakes.add(path, `There are two tasks '${name}' in this list.`);
      siblings.set(name, path);
    }
    named.forEach(({ name, path, task }, index) => {
      if (this.#tasks.size >= maxTasks) {
        this.#mistakes.add(path, `The definition has more than ${maxTasks} tasks.`);
        return;
      }
      const following = named[index + 1]?.path ?? null;
      this.#tasks.set(path, this.#task(task, { name, path, following, siblings, depth }));
    });
    return named[0]?.path ?? null;
  }

  #named(entry: unknown, pointer: string): { name: string; path: string; task: Members } | undefined {
    const [first, ...others] = Object.entries(membersOf(entry));
    if (first === undefined || others.length > 0) {
      this.#mistakes.add(pointer, 'Expected an object with one key, the name of the task.');
      return undefined;
    }
    const [name, task] = first;
    const path = `${pointer}/${escapePointer(name)}`;
    if (typeof task !== 'object' || task === null || Array.isArray(task)) {
      this.#mistakes.add(path, 'Expected an object.');
      return undefined;
    }
    return { name, path, task: membersOf(task) };
  }

  #task(task: Members, place: Place): TaskNode {
    const { path, name, following } = place;
    const kind = kindOfTask(task, [...this.#types.keys()]);
    const gateway = this.#gateway(task, path);
    if (gateway?.limits !== undefined)
      this.#mistakes.add(`${path}/metadata/gateway/limits`, 'Limits belong to the document, not to a task.');
    if ('problem' in kind) {
      this.#mistakes.add(kind.key === undefined ? path : `${path}/${kind.key}`, kind.problem);
      return { ...emptyNode, path, name, following };
    }
    this.#refuseUnknown(task, [...sharedKeys, ...kind.keys], path);
    let first: string | null | undefined;
    const context = this.#context(place, list => {
      first = list;
    });
    const type = this.#types.get(kind.type);
    return {
      path,
      name,
      type: kind.type,
      condition: task.if === undefined ? undefined : this.#expression(task.if, `${path}/if`),
      ...this.#dataFlow(task, path),
      exportAs: this.#transformation(task.export, 'as', `${path}/export`),
      timeoutMs: this.#timeout(task, path),
      directive: this.#directive(task.then ?? 'continue', `${path}/then`, place.siblings),
      following,
      options: type?.compile(task, context),
      first,
      onInDoubt: gateway?.onInDoubt,
    };
  }

  #context({ path, siblings, depth }: Place, onList: (first: string | null) => void): CompileContext {
    return {
      path,
      mistake: (pointer, message) => this.#mistakes.add(pointer, message),
      template: (value, pointer) => compileTemplate(value, pointer, this.#expressions),
      expression: (value, pointer) => this.#expression(value, pointer),
      directive: (value, pointer) => this.#directive(value, pointer, siblings),
      schema: (schema, pointer) => this.#schemas.push({ schema, pointer }),
      durationMs: (value, pointer) => this.#duration(value, pointer),
      list: (value, pointer) => {
        const first = this.#list(value, { pointer, depth: depth + 1 });
        onList(first);
        return first;
      },
    };
  }

  #expression(value: unknown, pointer: string): Template {
    if (typeof value !== 'string') {
      this.#mistakes.add(pointer, 'Expected an expression.');
      return { kind: 'literal', value: null };
    }
    const source = expressionIn(value) ?? value.trim();
    this.#expressions.push({ source, pointer });
    return { kind: 'expression', source };
  }

  #dataFlow(
    task: Members,
    path: string,
  ): { inputFrom: Template | undefined; outputAs: Template | undefined } {
    return {
      inputFrom: this.#transformation(task.input, 'from', `${path}/input`),
      outputAs: this.#transformation(task.output, 'as', `${path}/output`),
    };
  }

  #transformation(value: unknown, key: 'from' | 'as', pointer: string): Template | undefined {
    if (value === undefined) return undefined;
    const members = membersOf(value);
    for (const each of Object.keys(members)) {
      if (each === key) continue;
      const problem =
        each === 'schema' ? 'Schemas of data are not supported.' : `'${each}' is not known here.`;
      this.#mistakes.add(`${pointer}/${escapePointer(each)}`, problem);
    }
    const given = members[key];
    if (given === undefined) return undefined;
    if (typeof given === 'string') return this.#expression(given, `${pointer}/${key}`);
    return compileTemplate(given, `${pointer}/${key}`, this.#expressions);
  }

  #directive(value: unknown, pointer: string, siblings: ReadonlyMap<string, string>): Directive {
    if (value === 'continue' || value === 'end' || value === 'exit') return value;
    const path = siblings.get(String(value));
    if (path?.startsWith('/')) return path as `/${string}`; // the line says so
    const names = [...siblings.keys()].slice(0, 20).join(', ');
    this.#mistakes.add(
      pointer,
      `'${String(value)}' is neither continue, end, exit nor a task of the same list (${names}).`,
    );
    return 'continue';
  }

  #timeout(task: Members, path: string): number | undefined {
    const { timeout } = task;
    if (timeout === undefined) return undefined;
    if (typeof timeout === 'string') {
      this.#mistakes.add(
        `${path}/timeout`,
        'Named timeouts are not supported; write `timeout: { after: PT30S }`.',
      );
      return undefined;
    }
    const { after, ...others } = membersOf(timeout);
    this.#refuseUnknown(others, [], `${path}/timeout`);
    return this.#duration(after, `${path}/timeout/after`);
  }

  #duration(value: unknown, pointer: string): number {
    const parsed = parseDuration(value);
    if ('ms' in parsed) return parsed.ms;
    this.#mistakes.add(pointer, parsed.problem);
    return 0;
  }

  #gateway(holder: Members, path: string): z.output<typeof gatewaySchema> | undefined {
    const { metadata } = holder;
    if (metadata === undefined) return undefined;
    const { gateway } = membersOf(metadata);
    if (gateway === undefined) return undefined;
    const parsed = gatewaySchema.safeParse(gateway);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      const at = [`${path}/metadata/gateway`, ...issue.path.map(part => escapePointer(String(part)))].join(
        '/',
      );
      if (issue.code !== 'unrecognized_keys') this.#mistakes.add(at, `${issue.message}.`);
      else for (const key of issue.keys) this.#mistakes.add(`${at}/${key}`, `'${key}' is not supported.`);
    }
    return undefined;
  }

  #limits(limits: z.output<typeof gatewaySchema>['limits']): LimitOverrides {
    if (limits === undefined) return {};
    const { steps, visits, wallClock } = limits;
    return {
      ...(steps !== undefined && { maxSteps: steps }),
      ...(visits !== undefined && { maxVisits: visits }),
      ...(wallClock !== undefined && {
        maxRunMs: this.#duration(wallClock, '/document/metadata/gateway/limits/wallClock'),
      }),
    };
  }

  #refuseUnknown(members: Members, known: readonly string[], path: string): void {
    for (const key of Object.keys(members)) {
      if (!known.includes(key))
        this.#mistakes.add(`${path}/${escapePointer(key)}`, `A task of this kind has no key '${key}'.`);
    }
  }
}

interface Place {
  readonly name: string;
  readonly path: string;
  readonly following: string | null;
  readonly siblings: ReadonlyMap<string, string>;
  readonly depth: number;
}

const emptyNode: Omit<TaskNode, 'path' | 'name' | 'following'> = {
  type: 'unknown',
  condition: undefined,
  inputFrom: undefined,
  outputAs: undefined,
  exportAs: undefined,
  timeoutMs: undefined,
  directive: 'continue',
  first: undefined,
  onInDoubt: undefined,
  options: undefined,
};

function membersOf(value: unknown): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return value as Members; // an object that is no array
}
