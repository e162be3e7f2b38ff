import { extended } from '../domain/extended-task.ts';
import type { CompileContext, FlowPart, TaskTypes } from '../domain/task-type.ts';
import type { Directive, Next, TaskNode, TaskSubject, Workflow } from '../domain/workflow.ts';
import { readSettings } from './document-settings.ts';
import { readTaskMetadata } from './gateway-metadata.ts';
import { isMembers, type Members, membersOf, valueAt } from './members.ts';
import type { Mistakes } from './mistakes.ts';
import { type FoundSchema, PartReader } from './part-reader.ts';
import { kindOfTask, sharedKeys } from './task-keys.ts';
import { escapePointer, type FoundExpression } from './template.ts';

export interface Compiled {
  readonly workflow: Omit<Workflow, 'hash'>;
  readonly expressions: readonly FoundExpression[];
  readonly schemas: readonly FoundSchema[];
}

const maxDepth = 16;
const maxTasks = 2000;
const reservedNames = new Set(['continue', 'end', 'exit']);

/** Turns a checked document into the form the engine reads, and finds what is wrong with its tasks on the way. */
export class Compiler {
  readonly #types: TaskTypes;
  readonly #mistakes: Mistakes;
  readonly #reader: PartReader;
  readonly #tasks = new Map<string, TaskNode>();
  /** As it was written: what `$task.definition` and `$workflow.definition` show. */
  readonly #source: Members;
  #namespace = '';

  constructor(source: Members, { types, mistakes }: { types: TaskTypes; mistakes: Mistakes }) {
    this.#source = source;
    this.#types = types;
    this.#mistakes = mistakes;
    this.#reader = new PartReader(mistakes);
  }

  /** `document`: the source with what `use` defines in its place. */
  compile(document: Members): Compiled {
    const head = membersOf(document.document);
    const [namespace, name, version] = [head.namespace, head.name, head.version].map(asText);
    this.#namespace = namespace ?? '';
    const settings = readSettings(head, this.#reader, this.#mistakes);
    const root = this.#root(document);
    return {
      workflow: {
        namespace: namespace ?? '',
        name: name ?? '',
        version: version ?? '',
        document: this.#source,
        ...settings,
        root,
        tasks: this.#tasks,
      },
      expressions: this.#reader.expressions,
      schemas: this.#reader.schemas,
    };
  }

  #root(document: Members): TaskNode {
    const node: TaskNode = {
      ...emptyNode,
      path: '',
      name: '',
      type: 'do',
      ...this.#reader.dataFlow(document, '', []),
      exportAs: undefined,
      schemas: this.#reader.dataSchemas(document, ''),
      timeout: this.#reader.timeout(document, '', []),
      following: null,
      first: this.#list(document.do, { pointer: '/do', depth: 1, variables: [] }),
    };
    this.#tasks.set('', node);
    return node;
  }

  #list(value: unknown, place: ListPlace): Next {
    if (!Array.isArray(value)) {
      this.#mistakes.add(place.pointer, 'Expected a list of tasks.');
      return (place.following ?? null) as Next; // a path of a task, or null
    }
    const entries = value.map((entry: unknown, index) => ({ entry, at: `${place.pointer}/${index}` }));
    return this.#entries(entries, place);
  }

  #entries(entries: readonly { entry: unknown; at: string }[], place: ListPlace): Next {
    const { pointer, depth, following = null } = place;
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
      const next = named[index + 1]?.path ?? following;
      this.#tasks.set(path, this.#task(task, { ...place, path, name, following: next, siblings, index }));
    });
    return (named[0]?.path ?? following) as Next; // paths begin with a slash
  }

  #named(entry: unknown, pointer: string): { name: string; path: string; task: Members } | undefined {
    const [first, ...others] = Object.entries(membersOf(entry));
    if (first === undefined || others.length > 0) {
      this.#mistakes.add(pointer, 'Expected an object with one key, the name of the task.');
      return undefined;
    }
    const [name, task] = first;
    const path = `${pointer}/${escapePointer(name)}`;
    if (isMembers(task)) return { name, path, task };
    this.#mistakes.add(path, 'Expected an object.');
    return undefined;
  }

  #task(task: Members, place: TaskPlace): TaskNode {
    const { path, name, following, variables } = place;
    const isExtended = Object.hasOwn(task, extended);
    const kind = isExtended ? { type: 'extended', keys: [] } : kindOfTask(task, [...this.#types.keys()]);
    const gateway = readTaskMetadata(task, path, this.#mistakes);
    const subject = place.subject ?? this.#subject(path, name);
    if ('problem' in kind) {
      this.#mistakes.add(kind.key === undefined ? path : `${path}/${kind.key}`, kind.problem);
      return { ...emptyNode, path, name, following, subject };
    }
    this.#refuseUnknown(task, [...sharedKeys, ...kind.keys], path);
    let first: Next | undefined;
    const context = this.#context({ ...place, subject: isExtended ? subject : undefined }, list => {
      first = list;
    });
    const type = this.#types.get(kind.type);
    const options = type?.compile(task, context);
    const agent = type?.agentOf?.(options);
    return {
      path,
      name,
      type: kind.type,
      subject,
      condition: this.#condition(task, place),
      startsFrom: place.index === 0 ? place.flow?.startsFrom : undefined,
      ...this.#reader.dataFlow(task, path, variables),
      schemas: this.#reader.dataSchemas(task, path),
      timeout: this.#reader.timeout(task, path, variables) ?? type?.timeoutOf?.(options),
      directive: this.#directive(task.then ?? 'continue', `${path}/then`, place.siblings),
      following,
      options,
      first,
      onInDoubt: gateway.onInDoubt,
      compensation: this.#compensation(gateway.compensate, place),
      agent: agent === undefined ? undefined : `${this.#namespace}/${agent}`,
    };
  }

  #subject(path: string, name: string): TaskSubject {
    return { name, reference: path, definition: valueAt(this.#source, this.#mistakes.sourceOf(path)) };
  }

  #condition(task: Members, { path, variables, flow }: TaskPlace): TaskNode['condition'] {
    const own =
      task.if === undefined
        ? undefined
        : this.#reader.expression(task.if, { pointer: `${path}/if`, variables });
    if (flow?.condition === undefined) return own;
    if (own?.kind !== 'expression') return { kind: 'expression', source: flow.condition };
    return { kind: 'expression', source: `(${flow.condition}) and (${own.source}\n)` };
  }

  /** `metadata.gateway.compensate`: a task that undoes this one, with `{ input, output }` of this one as its input. */
  #compensation(task: unknown, { path, depth, variables }: TaskPlace): Next | undefined {
    if (task === undefined) return undefined;
    const pointer = `${path}/metadata/gateway/compensate`;
    this.#mistakes.relocate(`${pointer}/0/undo`, pointer);
    return this.#list([{ undo: task }], { pointer, depth: depth + 1, variables });
  }

  #context(
    { path, siblings, depth, variables, subject }: TaskPlace,
    onList: (first: Next) => void,
  ): CompileContext {
    const reader = this.#reader;
    const scoped = (pointer: string, more: readonly string[] = []) => ({
      pointer,
      variables: [...variables, ...more],
    });
    const inside = (pointer: string, more?: readonly string[]) => ({
      ...scoped(pointer, more),
      depth: depth + 1,
    });
    return {
      path,
      mistake: (pointer, message) => this.#mistakes.add(pointer, message),
      relocate: (pointer, source) => this.#mistakes.relocate(pointer, source),
      template: (value, pointer, more) => reader.template(value, scoped(pointer, more)),
      expression: (value, pointer, more) => reader.expression(value, scoped(pointer, more)),
      directive: (value, pointer) => this.#directive(value, pointer, siblings),
      schema: (schema, pointer) => reader.schemas.push({ schema, pointer }),
      duration: (value, pointer) => reader.duration(value, scoped(pointer)),
      list: (value, pointer, more) => this.#list(value, inside(pointer, more)),
      single: (entry, pointer) => this.#entries([{ entry, at: pointer }], inside(pointer)),
      ownList: (value, pointer) => onList(this.#list(value, inside(pointer))),
      // What is put around a task is as deep as the task.
      flow: (parts, more) =>
        parts.reduceRight<Next>(
          (following, { value, pointer, ...flow }) =>
            this.#list(value, { ...scoped(pointer, more), depth, following, flow, subject }),
          null,
        ),
    };
  }

  #directive(value: unknown, pointer: string, siblings: ReadonlyMap<string, string>): Directive {
    if (value === 'continue' || value === 'end' || value === 'exit') return value;
    const path = typeof value === 'string' ? siblings.get(value) : undefined;
    if (path?.startsWith('/')) return path as `/${string}`; // the line says so
    const names = [...siblings.keys()].slice(0, 20).join(', ');
    const given = typeof value === 'string' ? `'${value}'` : 'This';
    this.#mistakes.add(
      pointer,
      `${given} is neither continue, end, exit nor a task of the same list (${names}).`,
    );
    return 'continue';
  }

  #refuseUnknown(members: Members, known: readonly string[], path: string): void {
    for (const key of Object.keys(members)) {
      if (!known.includes(key))
        this.#mistakes.add(`${path}/${escapePointer(key)}`, `A task of this kind has no key '${key}'.`);
    }
  }
}

interface ListPlace {
  readonly pointer: string;
  readonly depth: number;
  /** Names that the lists around give. */
  readonly variables: readonly string[];
  /** Where it goes on after the last task; the list is at its end without. */
  readonly following?: string | null;
  readonly flow?: Pick<FlowPart, 'condition' | 'startsFrom'>;
  /** What `$task` describes in it, when that is not each task itself. */
  readonly subject?: TaskSubject | undefined;
}

interface TaskPlace extends ListPlace {
  readonly name: string;
  readonly path: string;
  readonly following: string | null;
  readonly siblings: ReadonlyMap<string, string>;
  /** In its list. */
  readonly index: number;
}

const emptyNode: Omit<TaskNode, 'path' | 'name' | 'following'> = {
  type: 'unknown',
  subject: { name: '', reference: '', definition: null },
  condition: undefined,
  startsFrom: undefined,
  inputFrom: undefined,
  outputAs: undefined,
  exportAs: undefined,
  schemas: {},
  timeout: undefined,
  directive: 'continue',
  first: undefined,
  onInDoubt: undefined,
  compensation: undefined,
  agent: undefined,
  options: undefined,
};

const asText = (value: unknown) => (typeof value === 'string' ? value : '');
