import { type CompileContext, defineTask } from '../../domain/task-type.ts';
import type { Directive, Template } from '../../domain/workflow.ts';

interface Case {
  /** Undefined for the default. */
  readonly when: Template | undefined;
  readonly directive: Directive;
}

/** `switch`: goes where the first case that holds points. Its output is its input. */
export const switchTask = defineTask<
  { readonly cases: readonly Case[] },
  { readonly directive: Directive | null }
>({
  type: 'switch',
  keys: ['switch'],
  compile(definition, context) {
    const cases = definition.switch;
    const pointer = `${context.path}/switch`;
    if (!Array.isArray(cases) || cases.length === 0) {
      context.mistake(pointer, 'Expected a list with at least one case.');
      return { cases: [] };
    }
    const compiled = cases.map((entry: unknown, index) => compileCase(entry, `${pointer}/${index}`, context));
    return { cases: compiled.filter(each => each !== undefined) };
  },
  async prepare({ cases }, scope) {
    for (const { when, directive } of cases) {
      if (when !== undefined && isTruthy(await scope.evaluate(when))) return { directive };
    }
    return { directive: cases.find(each => each.when === undefined)?.directive ?? null };
  },
  plan({ input, arguments: { directive } }) {
    return { type: 'complete', output: input, ...(directive !== null && { directive }) };
  },
});

/** As jq sees it: everything but `false` and `null`. */
const isTruthy = (value: unknown) => value !== false && value !== null && value !== undefined;

function compileCase(entry: unknown, pointer: string, context: CompileContext): Case | undefined {
  const named = typeof entry === 'object' && entry !== null ? Object.entries(entry) : [];
  const [first] = named;
  if (first === undefined || named.length !== 1) {
    context.mistake(pointer, 'Expected an object with one key, the name of the case.');
    return undefined;
  }
  const [name, body] = first;
  const at = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  if (typeof body !== 'object' || body === null) {
    context.mistake(at, 'Expected an object with `then` and, unless it is the default, `when`.');
    return undefined;
  }
  for (const key of Object.keys(body)) {
    if (key !== 'when' && key !== 'then') context.mistake(`${at}/${key}`, `A case has no key '${key}'.`);
  }
  const { when, then } = body as { when?: unknown; then?: unknown }; // keys that are missing read as undefined
  return {
    when: when === undefined ? undefined : context.expression(when, `${at}/when`),
    directive: context.directive(then ?? 'continue', `${at}/then`),
  };
}
