import type { Expressions } from './domain/expressions.ts';
import type { EventTrigger } from './domain/schedule.ts';
import { Mistakes } from './dsl/mistakes.ts';
import { compileTemplate, expressionIn, type FoundExpression } from './dsl/template.ts';
import { compileFilter, type FilterContext } from './tasks/listen/event-filter.ts';

export type CompileTrigger = (
  strategy: unknown,
  pointer: string,
  mistakes?: Mistakes,
) => Promise<EventTrigger>;

/**
 * Reads `schedule.on`: the filters are those of `listen`.
 * Mistakes go to whoever collects them.
 * @throws GatewayError invalid_request (`definition_invalid`) with every mistake, when nobody does.
 */
export function createCompileTrigger(expressions: Pick<Expressions, 'check'>): CompileTrigger {
  return async (strategy, pointer, collected) => {
    const mistakes = collected ?? new Mistakes(() => undefined);
    const found: Omit<FoundExpression, 'variables'>[] = [];
    const context: FilterContext = {
      mistake: (at, message) => mistakes.add(at, message),
      template: (value, at) => compileTemplate(value, at, found),
      expression(value, at) {
        const text = typeof value === 'string' ? value : '';
        const source = expressionIn(text) ?? text;
        found.push({ source, pointer: at });
        return { kind: 'expression', source };
      },
    };
    const needsAll = typeof strategy === 'object' && strategy !== null && 'all' in strategy;
    const filters = filtersOf(strategy, pointer, mistakes)
      .map(({ filter, at }) => {
        const compiled = compileFilter(filter, at, context);
        if (!needsAll && compiled !== undefined && compiled.correlations.length > 0)
          mistakes.add(
            `${at}/correlate`,
            'Each event begins a run of its own: there is nothing to correlate. With `all` there is.',
          );
        return compiled;
      })
      .filter(each => each !== undefined);
    for (const { source, pointer: at } of found) {
      const problem = await expressions.check(source);
      if (problem !== undefined) mistakes.add(at, problem);
    }
    if (collected === undefined) mistakes.throwIfAny();
    return {
      strategy,
      types: filters.length === 0 ? ['*'] : [...new Set(filters.flatMap(({ types }) => types))],
      conditions: filters.length === 0 ? ['true'] : filters.map(({ condition }) => condition),
      ...(needsAll && { correlations: filters.map(({ correlations }) => correlations) }),
    };
  };
}

const maxFilters = 50;

function filtersOf(
  strategy: unknown,
  pointer: string,
  mistakes: Mistakes,
): { readonly filter: unknown; readonly at: string }[] {
  const [[kind, value] = [], ...others] = Object.entries(strategy ?? {}) as [string, unknown][]; // its keys are looked at below
  for (const [key] of others)
    mistakes.add(
      `${pointer}/${key}`,
      key === 'until'
        ? 'A run begins with each event; `listen` to more of them in the workflow.'
        : `'${key}' is not known beside '${kind}'.`,
    );
  if (kind === 'one') return [{ filter: value, at: `${pointer}/one` }];
  const isList = kind === 'any' || (kind === 'all' && Array.isArray(value) && value.length > 0);
  if (isList && Array.isArray(value) && value.length <= maxFilters)
    return value.map((filter: unknown, index) => ({ filter, at: `${pointer}/${kind}/${index}` }));
  mistakes.add(
    pointer,
    `Expected \`one\` event filter, \`any\` with a list (an empty one takes every event) or \`all\` with at least one, at most ${maxFilters}.`,
  );
  return [];
}
