import type { Mistakes } from './mistakes.ts';
import { escapePointer } from './template.ts';

type Members = Readonly<Record<string, unknown>>;

const takenKinds = ['authentications', 'errors', 'functions', 'retries', 'timeouts'] as const;
type Kind = (typeof takenKinds)[number];

const refused: Readonly<Record<string, string>> = {
  catalogs: 'External catalogs are not read; define the function under `use.functions`.',
  extensions: 'Extensions are not run; write the tasks before and after where they belong.',
};

/** A function may call functions; one that calls itself would never end. */
const maxFunctionDepth = 8;

/**
 * Puts what `use` defines in the place of its name (specification 1.0, "Use"): timeouts, retries, errors, authentications and custom
 * functions. What remains is a document that names nothing but its own tasks, so everything behind it reads one form only.
 */
export function resolveReusable(document: Members, mistakes: Mistakes): Members {
  const use = membersOf(document.use);
  checkUse(document.use, mistakes);
  const resolver = new Resolver(use, mistakes);
  return {
    ...document,
    ...resolver.timeout(document, ''),
    do: resolver.list(document.do, '/do', []),
  };
}

function checkUse(use: unknown, mistakes: Mistakes): void {
  if (use === undefined) return;
  for (const [key, value] of Object.entries(membersOf(use))) {
    const pointer = `/use/${escapePointer(key)}`;
    if (refused[key] !== undefined) mistakes.add(pointer, refused[key]);
    else if (key === 'secrets') checkSecrets(value, mistakes);
    else if (!takenKinds.some(each => each === key)) mistakes.add(pointer, `'${key}' is not known here.`);
    else if (!isMembers(value)) mistakes.add(pointer, 'Expected an object by name.');
  }
}

function checkSecrets(value: unknown, mistakes: Mistakes): void {
  if (!Array.isArray(value) || value.some(name => typeof name !== 'string'))
    mistakes.add('/use/secrets', 'Expected a list of names.');
}

class Resolver {
  readonly #use: Members;
  readonly #mistakes: Mistakes;

  constructor(use: Members, mistakes: Mistakes) {
    this.#use = use;
    this.#mistakes = mistakes;
  }

  list(value: unknown, pointer: string, inside: readonly string[]): unknown {
    if (!Array.isArray(value)) return value;
    return value.map((entry: unknown, index) => {
      if (!isMembers(entry)) return entry;
      return mapMembers(entry, (task, name) =>
        isMembers(task) ? this.#task(task, `${pointer}/${index}/${escapePointer(name)}`, inside) : task,
      );
    });
  }

  /** The `timeout` of a task or document, if it is a name. */
  timeout(holder: Members, pointer: string): Members {
    if (typeof holder.timeout !== 'string') return {};
    return { timeout: this.#find('timeouts', holder.timeout, `${pointer}/timeout`) ?? undefined };
  }

  #task(task: Members, pointer: string, inside: readonly string[]): Members {
    const list = (value: unknown, at: string) => this.list(value, `${pointer}${at}`, inside);
    const resolved: Members = {
      ...task,
      ...this.timeout(task, pointer),
      ...(task.do !== undefined && { do: list(task.do, '/do') }),
      ...(Array.isArray(task.try) && { try: list(task.try, '/try') }),
      ...(isMembers(task.catch) && { catch: this.#catch(task.catch, pointer, inside) }),
      ...(isMembers(task.fork) && {
        fork: { ...task.fork, branches: list(task.fork.branches, '/fork/branches') },
      }),
      ...(isMembers(task.foreach) && {
        foreach: { ...task.foreach, do: list(task.foreach.do, '/foreach/do') },
      }),
      ...(isMembers(task.raise) && { raise: this.#raise(task.raise, pointer) }),
      ...(isMembers(task.with) && { with: this.#arguments(task.with, pointer) }),
    };
    return this.#function(resolved, pointer, inside);
  }

  #catch(value: Members, pointer: string, inside: readonly string[]): Members {
    const retry =
      typeof value.retry === 'string'
        ? this.#find('retries', value.retry, `${pointer}/catch/retry`)
        : value.retry;
    return {
      ...value,
      ...(value.retry !== undefined && { retry }),
      ...(value.do !== undefined && { do: this.list(value.do, `${pointer}/catch/do`, inside) }),
    };
  }

  #raise(value: Members, pointer: string): Members {
    if (typeof value.error !== 'string') return value;
    return { ...value, error: this.#find('errors', value.error, `${pointer}/raise/error`) };
  }

  /** `with.endpoint.authentication: { use: name }`, and the same beside the endpoint. */
  #arguments(value: Members, pointer: string): Members {
    const at = `${pointer}/with`;
    const { endpoint } = value;
    return {
      ...value,
      ...this.#authentication(value, at),
      ...(isMembers(endpoint) && {
        endpoint: { ...endpoint, ...this.#authentication(endpoint, `${at}/endpoint`) },
      }),
    };
  }

  #authentication(holder: Members, pointer: string): Members {
    const given = membersOf(holder.authentication);
    const isNamed = typeof given.use === 'string';
    const authentication = isNamed
      ? this.#find('authentications', String(given.use), `${pointer}/authentication/use`)
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
  #function(task: Members, pointer: string, inside: readonly string[]): Members {
    const { call, with: argumentsGiven, ...rest } = task;
    const functions = membersOf(this.#use.functions);
    if (typeof call !== 'string' || !Object.hasOwn(functions, call)) return task;
    const definition = functions[call];
    if (inside.includes(call) || inside.length >= maxFunctionDepth || !isMembers(definition)) {
      const problem = inside.includes(call) ? 'calls itself' : 'is no task, or lies too deep';
      this.#mistakes.add(`${pointer}/call`, `The function '${call}' ${problem}.`);
      return { ...rest, do: [] };
    }
    const body = this.#task(definition, `/use/functions/${escapePointer(call)}`, [...inside, call]);
    return {
      ...rest,
      do: [{ [call]: { input: { from: argumentsGiven ?? {} }, do: [{ [call]: body }] } }],
    };
  }

  #find(kind: Kind, name: string, pointer: string): unknown {
    const known = membersOf(this.#use[kind]);
    if (Object.hasOwn(known, name)) return known[name];
    const names = Object.keys(known).slice(0, 20).join(', ');
    const hint = names === '' ? 'there are none' : `known: ${names}`;
    this.#mistakes.add(pointer, `There is no '${name}' under \`use.${kind}\` (${hint}).`);
    return undefined;
  }
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const membersOf = (value: unknown): Members => (isMembers(value) ? value : {});

function mapMembers(members: Members, change: (value: unknown, name: string) => unknown): Members {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, change(value, name)]));
}
