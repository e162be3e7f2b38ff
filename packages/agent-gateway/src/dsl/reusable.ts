import { type ExtendedTask, type Extension, extended } from '../domain/extended-task.ts';
import { extensionsOf, readExtensions } from './extensions.ts';
import { isMembers, type Members, membersOf } from './members.ts';
import type { Mistakes } from './mistakes.ts';
import { leadingKeys } from './task-keys.ts';
import { escapePointer } from './template.ts';

const takenKinds = ['authentications', 'errors', 'functions', 'retries', 'timeouts'] as const;
type Kind = (typeof takenKinds)[number];

/** A function may call functions; one that calls itself would never end. */
const maxFunctionDepth = 8;

/**
 * Puts what `use` defines in the place of its name (specification 1.0, "Use"): timeouts, retries, errors, authentications and custom
 * functions; and extensions around the tasks that they extend. What remains is a document that names nothing but its own tasks, so
 * everything behind it reads one form only.
 */
export function resolveReusable(document: Members, mistakes: Mistakes): Members {
  const use = membersOf(document.use);
  checkUse(document.use, mistakes);
  const resolver = new Resolver(use, mistakes);
  const place = { source: '/do', compiled: '/do', functions: [] };
  return {
    ...document,
    ...resolver.timeout(document, ''),
    do: resolver.list(document.do, place),
  };
}

function checkUse(use: unknown, mistakes: Mistakes): void {
  if (use === undefined) return;
  if (!isMembers(use)) mistakes.add('/use', 'Expected an object.');
  for (const [key, value] of Object.entries(membersOf(use))) {
    const pointer = `/use/${escapePointer(key)}`;
    if (key === 'catalogs')
      mistakes.add(pointer, 'External catalogs are not read; define the function under `use.functions`.');
    else if (key === 'secrets') checkSecrets(value, mistakes);
    else if (key === 'extensions')
      continue; // read by the resolver
    else if (!takenKinds.some(each => each === key)) mistakes.add(pointer, `'${key}' is not known here.`);
    else if (!isMembers(value)) mistakes.add(pointer, 'Expected an object by name.');
  }
}

function checkSecrets(value: unknown, mistakes: Mistakes): void {
  if (!Array.isArray(value) || value.some(name => typeof name !== 'string'))
    mistakes.add('/use/secrets', 'Expected a list of names.');
}

/** A part of the document, and where the compiled form has it. */
interface Place {
  readonly source: string;
  readonly compiled: string;
  /** The functions that it lies in. */
  readonly functions: readonly string[];
  /** It belongs to an extension, and those are not extended. */
  readonly isExtension?: boolean;
}

const under = (place: Place, suffix: string): Place => ({
  ...place,
  source: place.source + suffix,
  compiled: place.compiled + suffix,
});

class Resolver {
  readonly #use: Members;
  readonly #mistakes: Mistakes;
  readonly #extensions: readonly Extension[];

  constructor(use: Members, mistakes: Mistakes) {
    this.#use = use;
    this.#mistakes = mistakes;
    this.#extensions = readExtensions(use, mistakes);
  }

  list(value: unknown, place: Place): unknown {
    if (!Array.isArray(value)) return value;
    return value.map((entry: unknown, index) => {
      if (!isMembers(entry)) return entry;
      return mapMembers(entry, (task, name) =>
        isMembers(task) ? this.#task(task, name, under(place, `/${index}/${escapePointer(name)}`)) : task,
      );
    });
  }

  /** The `timeout` of a task or document, if it is a name. */
  timeout(holder: Members, pointer: string): Members {
    if (typeof holder.timeout !== 'string') return {};
    return { timeout: this.#find('timeouts', holder.timeout, `${pointer}/timeout`) ?? undefined };
  }

  #task(task: Members, name: string, place: Place): Members {
    const [kind] = leadingKeys(task);
    const extensions = place.isExtension ? [] : extensionsOf(kind, this.#extensions);
    if (extensions.length === 0) return this.#plain(task, place);
    const { compiled } = place;
    const inner = { ...place, compiled: `${compiled}/task/0/${escapePointer(name)}` };
    this.#mistakes.relocate(inner.compiled, compiled);
    const {
      if: condition,
      input,
      output,
      export: exported,
      then,
      switch: cases,
      ...own
    } = this.#plain(task, inner);
    const around: ExtendedTask = {
      name,
      task: cases === undefined ? own : { ...own, set: '${ . }' },
      cases,
      extensions: extensions.map((each, index) =>
        this.#extension(each, { ...place, compiled: `${compiled}/around/${index}` }),
      ),
    };
    return {
      ...withoutUndefined({ if: condition, input, output, export: exported, then }),
      [extended]: around,
    };
  }

  #extension(extension: Extension, place: Place): Extension {
    this.#mistakes.relocate(place.compiled, extension.pointer);
    const at = { ...place, source: extension.pointer, isExtension: true };
    return {
      ...extension,
      before: this.list(extension.before ?? [], under(at, '/before')),
      after: this.list(extension.after ?? [], under(at, '/after')),
    };
  }

  #plain(task: Members, place: Place): Members {
    const list = (value: unknown, suffix: string) => this.list(value, under(place, suffix));
    const resolved: Members = {
      ...task,
      ...this.timeout(task, place.source),
      ...(task.do !== undefined && { do: list(task.do, '/do') }),
      ...(Array.isArray(task.try) && { try: list(task.try, '/try') }),
      ...(isMembers(task.catch) && { catch: this.#catch(task.catch, place) }),
      ...(isMembers(task.fork) && {
        fork: { ...task.fork, branches: list(task.fork.branches, '/fork/branches') },
      }),
      ...(isMembers(task.foreach) && {
        foreach: { ...task.foreach, do: list(task.foreach.do, '/foreach/do') },
      }),
      ...(isMembers(task.raise) && { raise: this.#raise(task.raise, place.source) }),
      ...(isMembers(task.with) && { with: this.#arguments(task.with, `${place.source}/with`) }),
      ...this.#compensation(task, place),
    };
    return this.#function(resolved, place);
  }

  #catch(value: Members, place: Place): Members {
    const retry =
      typeof value.retry === 'string'
        ? this.#find('retries', value.retry, `${place.source}/catch/retry`)
        : value.retry;
    return {
      ...value,
      ...(value.retry !== undefined && { retry }),
      ...(value.do !== undefined && { do: this.list(value.do, under(place, '/catch/do')) }),
    };
  }

  #raise(value: Members, pointer: string): Members {
    if (typeof value.error !== 'string') return value;
    const error = this.#find('errors', value.error, `${pointer}/raise/error`) ?? unknownError;
    return { ...value, error };
  }

  /** A task that undoes another one may use what is reusable too; it is not extended. */
  #compensation({ metadata }: Members, place: Place): Members {
    const gateway = isMembers(metadata) ? metadata.gateway : undefined;
    if (!isMembers(metadata) || !isMembers(gateway) || !isMembers(gateway.compensate)) return {};
    const at = under(place, '/metadata/gateway/compensate');
    const undo = { ...at, compiled: `${at.compiled}/0/undo`, isExtension: true };
    return {
      metadata: { ...metadata, gateway: { ...gateway, compensate: this.#plain(gateway.compensate, undo) } },
    };
  }

  /** `authentication: { use: name }` of a service, of its endpoint and of the document that describes it. */
  #arguments(value: Members, pointer: string): Members {
    const { endpoint, document } = value;
    return {
      ...value,
      ...this.#authentication(value, pointer),
      ...(isMembers(endpoint) && {
        endpoint: { ...endpoint, ...this.#authentication(endpoint, `${pointer}/endpoint`) },
      }),
      ...(isMembers(document) && { document: this.#arguments(document, `${pointer}/document`) }),
    };
  }

  #authentication(holder: Members, pointer: string): Members {
    const given = membersOf(holder.authentication);
    const isNamed = typeof given.use === 'string';
    const authentication = isNamed
      ? this.#find('authentications', given.use, `${pointer}/authentication/use`)
      : holder.authentication;
    this.#requireSecrets(authentication, `${pointer}/authentication`);
    return isNamed ? { authentication } : {};
  }

  /** Secrets that an authentication takes must be named under `use.secrets`, where a reader looks for them. */
  #requireSecrets(authentication: unknown, pointer: string): void {
    const { secrets } = this.#use;
    const declared: readonly unknown[] = Array.isArray(secrets) ? secrets : [];
    const schemes = Object.values(membersOf(authentication)).map(membersOf);
    const named = schemes.flatMap(({ use }) => (typeof use === 'string' ? [use] : []));
    const quoted = JSON.stringify(authentication ?? null).matchAll(/\$secrets\.([A-Za-z_]\w*)/g);
    for (const name of new Set([...named, ...[...quoted].map(([, each]) => each ?? '')])) {
      if (!declared.includes(name))
        this.#mistakes.add(pointer, `There is no '${name}' under \`use.secrets\`.`);
    }
  }

  /** `call: name` of a function in `use.functions`: its task, with the arguments as its input. */
  #function(task: Members, { source, compiled, functions: inside, isExtension = false }: Place): Members {
    const { call, with: argumentsGiven, ...rest } = task;
    const functions = membersOf(this.#use.functions);
    if (typeof call !== 'string' || !Object.hasOwn(functions, call)) return task;
    const definition = functions[call];
    if (inside.includes(call) || inside.length >= maxFunctionDepth || !isMembers(definition)) {
      const problem = inside.includes(call) ? 'calls itself' : 'is no task, or lies too deep';
      this.#mistakes.add(`${source}/call`, `The function '${call}' ${problem}.`);
      return { ...rest, do: [] };
    }
    const name = escapePointer(call);
    const body = { source: `/use/functions/${name}`, compiled: `${compiled}/do/0/${name}/do/0/${name}` };
    this.#mistakes.relocate(`${compiled}/do/0/${name}/input/from`, `${source}/with`);
    this.#mistakes.relocate(body.compiled, body.source);
    const resolved = this.#task(definition, call, { ...body, functions: [...inside, call], isExtension });
    return {
      ...rest,
      do: [{ [call]: { input: { from: argumentsGiven ?? {} }, do: [{ [call]: resolved }] } }],
    };
  }

  #find(kind: Kind, name: unknown, pointer: string): unknown {
    const known = membersOf(this.#use[kind]);
    if (typeof name === 'string' && Object.hasOwn(known, name)) return known[name];
    const names = Object.keys(known).slice(0, 20).join(', ');
    const hint = names === '' ? 'there are none' : `known: ${names}`;
    this.#mistakes.add(pointer, `There is no '${String(name)}' under \`use.${kind}\` (${hint}).`);
    return undefined;
  }
}

/** In the place of one that there is not: that is the mistake, and not what it lacks. */
const unknownError: Members = { type: 'about:blank', status: 500 };

function mapMembers(members: Members, change: (value: unknown, name: string) => unknown): Members {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, change(value, name)]));
}

const withoutUndefined = (members: Members): Members =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
