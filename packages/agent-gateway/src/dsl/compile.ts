import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import { defaultPriority } from '../domain/queue.ts';
import type { CompileContext, TaskTypes } from '../domain/task-type.ts';
import type {
  Directive,
  LimitOverrides,
  Next,
  NodeSchemas,
  TaskNode,
  Template,
  Workflow,
} from '../domain/workflow.ts';
import { parseDuration } from './duration.ts';
import { type DocumentMetadata, readDocumentMetadata, readTaskMetadata } from './gateway-metadata.ts';
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

type Members = Readonly<Record<string, unknown>>;

/** Turns a checked document into the form the engine reads, and finds what is wrong with its tasks on the way. */
export class Compiler {
  readonly #types: TaskTypes;
  readonly #mistakes: Mistakes;
  readonly #tasks = new Map<string, TaskNode>();
  #namespace = '';
  readonly #expressions: FoundExpression[] = [];
  readonly #schemas: FoundSchema[] = [];

  constructor(types: TaskTypes, mistakes: Mistakes) {
    this.#types = types;
    this.#mistakes = mistakes;
  }

  compile(document: Members): Compiled {
    const head = membersOf(document.document);
    const { namespace, name, version } = head;
    this.#namespace = String(namespace);
    const { limits, concurrency, priority, retention } = readDocumentMetadata(head, this.#mistakes);
    const root = this.#root(document);
    return {
      workflow: {
        namespace: String(namespace),
        name: String(name),
        version: String(version),
        limits: this.#limits(limits),
        concurrency: concurrency && this.#concurrency(concurrency),
        priority: priority ?? defaultPriority,
        keepEndedMs:
          retention === undefined
            ? undefined
            : this.#duration(retention, '/document/metadata/gateway/retention'),
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
      ...this.#dataFlow(document, '', []),
      exportAs: undefined,
      schemas: this.#dataSchemas(document, ''),
      timeoutMs: this.#timeout(document, ''),
      directive: 'continue',
      following: null,
      first: this.#list(document.do, { pointer: '/do', depth: 1, variables: [] }),
      onInDoubt: undefined,
      compensation: undefined,
      agent: undefined,
      options: undefined,
    };
    this.#tasks.set('', node);
    return node;
  }

  #list(value: unknown, { pointer, depth, variables }: ListPlace): Next {
    if (!Array.isArray(value)) {
      this.#mistakes.add(pointer, 'Expected a list of tasks.');
      return null;
    }
    const entries = value.map((entry: unknown, index) => ({ entry, at: `${pointer}/${index}` }));
    return this.#entries(entries, { pointer, depth, variables });
  }

  #entries(
    entries: readonly { entry: unknown; at: string }[],
    { pointer, depth, variables }: ListPlace,
  ): Next {
    if (depth > maxDepth) {
      this.#mistakes.add(pointer, `Lists are nested deeper than ${maxDepth}.`);
      return null;
    }
    const named = entries.map(({ entry, at }) => this.#named(entry, at)).filter(each => each !== undefined);
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
      this.#tasks.set(path, this.#task(task, { name, path, following, siblings, depth, variables }));
    });
    return (named[0]?.path ?? null) as Next; // paths begin with a slash
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
    const gateway = readTaskMetadata(task, path, this.#mistakes);
    if ('problem' in kind) {
      this.#mistakes.add(kind.key === undefined ? path : `${path}/${kind.key}`, kind.problem);
      return { ...emptyNode, path, name, following };
    }
    this.#refuseUnknown(task, [...sharedKeys, ...kind.keys], path);
    let first: Next | undefined;
    const context = this.#context(place, list => {
      first = list;
    });
    const { variables } = place;
    const type = this.#types.get(kind.type);
    const node = {
      path,
      name,
      type: kind.type,
      condition: task.if === undefined ? undefined : this.#expression(task.if, `${path}/if`, variables),
      ...this.#dataFlow(task, path, variables),
      exportAs: this.#transformation(task.export, 'as', { pointer: `${path}/export`, variables }),
      schemas: this.#dataSchemas(task, path),
      timeoutMs: this.#timeout(task, path),
      directive: this.#directive(task.then ?? 'continue', `${path}/then`, place.siblings),
      following,
      options: type?.compile(task, context),
      first,
      onInDoubt: gateway.onInDoubt,
      compensation: this.#compensation(gateway.compensate, place),
    };
    const agent = type?.agentOf?.(node.options);
    return { ...node, agent: agent === undefined ? undefined : `${this.#namespace}/${agent}` };
  }

  /** `metadata.gateway.compensate`: a task that undoes this one, with `{ input, output }` of this one as its input. */
  #compensation(task: unknown, { path, depth, variables }: Place): Next | undefined {
    if (task === undefined) return undefined;
    const pointer = `${path}/metadata/gateway/compensate`;
    return this.#list([{ undo: task }], { pointer, depth: depth + 1, variables });
  }

  #context({ path, siblings, depth, variables }: Place, onList: (first: Next) => void): CompileContext {
    return {
      path,
      mistake: (pointer, message) => this.#mistakes.add(pointer, message),
      template: (value, pointer, more = []) => this.#template(value, pointer, [...variables, ...more]),
      expression: (value, pointer, more = []) => this.#expression(value, pointer, [...variables, ...more]),
      directive: (value, pointer) => this.#directive(value, pointer, siblings),
      schema: (schema, pointer) => this.#schemas.push({ schema, pointer }),
      durationMs: (value, pointer) => this.#duration(value, pointer),
      list: (value, pointer, more = []) =>
        this.#list(value, { pointer, depth: depth + 1, variables: [...variables, ...more] }),
      single: (entry, pointer) =>
        this.#entries([{ entry, at: pointer }], { pointer, depth: depth + 1, variables }),
      ownList: (value, pointer) => onList(this.#list(value, { pointer, depth: depth + 1, variables })),
    };
  }

  #template(value: unknown, pointer: string, variables: readonly string[]): Template {
    const found: Omit<FoundExpression, 'variables'>[] = [];
    const template = compileTemplate(value, pointer, found);
    for (const { source, pointer: at } of found) this.#found(source, at, variables);
    return template;
  }

  #expression(value: unknown, pointer: string, variables: readonly string[]): Template {
    if (typeof value !== 'string') {
      this.#mistakes.add(pointer, 'Expected an expression.');
      return { kind: 'literal', value: null };
    }
    const source = expressionIn(value) ?? value.trim();
    this.#found(source, pointer, variables);
    return { kind: 'expression', source };
  }

  /** What an expression gives is recorded and may be shown; a secret must not be. */
  #found(source: string, pointer: string, variables: readonly string[]): void {
    if (/\$secrets\b/.test(source))
      this.#mistakes.add(
        pointer,
        'A secret is a whole value of `authentication`, `${ $secrets.name }`, and nothing else.',
      );
    this.#expressions.push({ source, pointer, variables });
  }

  #dataFlow(
    task: Members,
    path: string,
    variables: readonly string[],
  ): { inputFrom: Template | undefined; outputAs: Template | undefined } {
    return {
      inputFrom: this.#transformation(task.input, 'from', { pointer: `${path}/input`, variables }),
      outputAs: this.#transformation(task.output, 'as', { pointer: `${path}/output`, variables }),
    };
  }

  #transformation(
    value: unknown,
    key: 'from' | 'as',
    { pointer, variables }: { pointer: string; variables: readonly string[] },
  ): Template | undefined {
    if (value === undefined) return undefined;
    const members = membersOf(value);
    for (const each of Object.keys(members)) {
      if (each !== key && each !== 'schema')
        this.#mistakes.add(`${pointer}/${escapePointer(each)}`, `'${each}' is not known here.`);
    }
    const given = members[key];
    if (given === undefined) return undefined;
    if (typeof given === 'string') return this.#expression(given, `${pointer}/${key}`, variables);
    return this.#template(given, `${pointer}/${key}`, variables);
  }

  #dataSchemas(holder: Members, path: string): NodeSchemas {
    const found: { input?: unknown; output?: unknown; export?: unknown } = {};
    for (const key of ['input', 'output', 'export'] as const) {
      const { schema } = membersOf(holder[key]);
      if (schema === undefined) continue;
      const pointer = `${path}/${key}/schema`;
      const { format = 'json', document, resource } = membersOf(schema);
      if (resource !== undefined)
        this.#mistakes.add(`${pointer}/resource`, 'Schemas are not fetched; write `document`.');
      else if (!/^json(:|$)/.test(String(format)))
        this.#mistakes.add(`${pointer}/format`, 'The only format is `json`.');
      else {
        this.#schemas.push({ schema: document, pointer: `${pointer}/document` });
        found[key] = document;
      }
    }
    return found;
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

  #limits(limits: DocumentMetadata['limits']): LimitOverrides {
    if (limits === undefined) return {};
    const { steps, visits, fanOut, liveTasks, repeats, wallClock, costUsd } = limits;
    return {
      ...(steps !== undefined && { maxSteps: steps }),
      ...(visits !== undefined && { maxVisits: visits }),
      ...(fanOut !== undefined && { maxFanOut: fanOut }),
      ...(liveTasks !== undefined && { maxLiveTasks: liveTasks }),
      ...(repeats !== undefined && { maxRepeats: repeats }),
      ...(costUsd !== undefined && { maxCostNanoUsd: String(parseUsd(costUsd)) }),
      ...(wallClock !== undefined && {
        maxRunMs: this.#duration(wallClock, '/document/metadata/gateway/limits/wallClock'),
      }),
    };
  }

  #concurrency({ key, limit }: NonNullable<DocumentMetadata['concurrency']>): Workflow['concurrency'] {
    if (key === undefined) return { limit };
    return { limit, key: this.#template(key, '/document/metadata/gateway/concurrency/key', []) };
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
  /** Names that the lists around give. */
  readonly variables: readonly string[];
}

interface ListPlace {
  readonly pointer: string;
  readonly depth: number;
  readonly variables: readonly string[];
}

const emptyNode: Omit<TaskNode, 'path' | 'name' | 'following'> = {
  type: 'unknown',
  condition: undefined,
  inputFrom: undefined,
  outputAs: undefined,
  exportAs: undefined,
  schemas: {},
  timeoutMs: undefined,
  directive: 'continue',
  first: undefined,
  onInDoubt: undefined,
  compensation: undefined,
  agent: undefined,
  options: undefined,
};

function membersOf(value: unknown): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  return value as Members; // an object that is no array
}
