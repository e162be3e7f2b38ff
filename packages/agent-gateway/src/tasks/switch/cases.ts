import type { CompileContext, TaskScope } from '../../domain/task-type.ts';
import type { Directive, Template } from '../../domain/workflow.ts';

/** Specification 1.0, "Switch Case". */
export interface Case {
  /** Undefined for the default. */
  readonly when: Template | undefined;
  readonly directive: Directive;
}

export function compileCases(cases: unknown, context: CompileContext): Case[] {
  const pointer = `${context.path}/switch`;
  if (!Array.isArray(cases) || cases.length === 0) {
    context.mistake(pointer, 'Expected a list with at least one case.');
    return [];
  }
  const compiled = cases
    .map((entry: unknown, index) => compileCase(entry, `${pointer}/${index}`, context))
    .filter(each => each !== undefined);
  if (compiled.filter(each => each.when === undefined).length > 1)
    context.mistake(pointer, 'Only one case can be the default; all others need `when`.');
  return compiled;
}

/** Where the first case that holds points; null when none does. */
export async function directiveOf(
  cases: readonly Case[],
  scope: Pick<TaskScope, 'evaluate'>,
): Promise<Directive | null> {
  for (const { when, directive } of cases) {
    if (when !== undefined && isTruthy(await scope.evaluate(when))) return directive;
  }
  return cases.find(each => each.when === undefined)?.directive ?? null;
}

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
  const at = `${pointer}/${escaped(name)}`;
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    context.mistake(at, 'Expected an object with `then` and, unless it is the default, `when`.');
    return undefined;
  }
  for (const key of Object.keys(body)) {
    if (key !== 'when' && key !== 'then')
      context.mistake(`${at}/${escaped(key)}`, `A case has no key '${key}'.`);
  }
  const { when, then } = body as { when?: unknown; then?: unknown }; // keys that are missing read as undefined
  if (then === undefined) context.mistake(`${at}/then`, 'A case says where it leads: `then`.');
  return {
    when: when === undefined ? undefined : context.expression(when, `${at}/when`),
    directive: context.directive(then ?? 'continue', `${at}/then`),
  };
}

/** RFC 6901 section 3. */
const escaped = (part: string) => part.replaceAll('~', '~0').replaceAll('/', '~1');
