/** Keys that every task may have (specification 1.0, "Task"). */
export const sharedKeys = ['if', 'input', 'output', 'export', 'timeout', 'then', 'metadata'] as const;

/** The key that says what a task does, and the keys that go with it. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  call: ['with'],
  do: [],
  emit: [],
  for: ['while', 'do'],
  fork: [],
  listen: ['foreach'],
  raise: [],
  run: [],
  set: [],
  switch: [],
  try: ['catch'],
  wait: [],
};

/** Why something of the language is not run here. */
const refusals: Readonly<Record<string, string>> = {
  'call:a2a': 'calls to A2A agents are not supported',
  'call:asyncapi': 'AsyncAPI calls are not supported',
  'call:grpc': 'gRPC calls are not supported',
};

export type TaskKind =
  | { readonly type: string; readonly keys: readonly string[] }
  | { readonly problem: string; readonly key?: string };

/** The keys of a task that say what it does; one, unless something is wrong. */
export function leadingKeys(task: Readonly<Record<string, unknown>>): string[] {
  const found = Object.keys(kinds).filter(key => Object.hasOwn(task, key));
  return found.filter(key => !found.some(other => other !== key && kinds[other]?.includes(key)));
}

/** Finds out what a task is. */
export function kindOfTask(task: Readonly<Record<string, unknown>>, known: readonly string[]): TaskKind {
  const leading = leadingKeys(task);
  const [key] = leading;
  if (key === undefined) {
    return { problem: `The task does nothing. Expected one of: ${Object.keys(kinds).join(', ')}.` };
  }
  if (leading.length > 1) return { problem: `A task does one thing; this one has ${leading.join(' and ')}.` };
  const called = typeof task.call === 'string' ? task.call : '';
  const type = key === 'call' ? `call:${called}` : key;
  if (known.includes(type)) return { type, keys: [key, ...(kinds[key] ?? [])] };
  const supported = known.filter(each => (key === 'call') === each.startsWith('call:'));
  const names = supported.map(each => each.replace('call:', '')).join(', ');
  const why = refusals[type] ?? `there is no function '${called}'${elsewhere(called)}`;
  return {
    problem:
      key === 'call'
        ? `This call cannot run here: ${why}. Supported: ${names}.`
        : `This task cannot run here: ${why}. Supported: ${names}, call.`,
    key,
  };
}

/** Specification 1.0, "Using Cataloged Functions": `name:version@catalog`, or an address. */
const elsewhere = (called: string) =>
  /@|^[a-z][a-z0-9+.-]*:\/\//.test(called)
    ? ': functions of catalogs are not fetched, define it under `use.functions`'
    : '';
