import type { Expressions } from './domain/expressions.ts';
import type { EventTrigger } from './domain/schedule.ts';
import { Mistakes } from './dsl/mistakes.ts';
import { compileTemplate, expressionIn, type FoundExpression } from './dsl/template.ts';
import { compileFilter, type FilterContext } from './tasks/listen/event-filter.ts';

export type CompileTrigger = (strategy: unknown, pointer: string) => Promise<EventTrigger>;

/**
 * Reads `schedule.on`: the filters are those of `listen`.
 * @throws GatewayError invalid_request (`definition_invalid`) with every mistake.
 */
export function createCompileTrigger(expressions: Pick<Expressions, 'check'>): CompileTrigger {
  return async (strategy, pointer) => {
    const mistakes = new Mistakes(() => undefined);
    const found: Omit<FoundExpression, 'variables'>[] = [];
    const context: FilterContext = {
      mistake: (at, message) => mistakes.add(at, message),
      template: (value, at) => compileTemplate(value, at, found),
      expression(value, at) {
        const source = expressionIn(String(value)) ?? String(value);
        found.push({ source, pointer: at });
        return { kind: 'expression', source };
      },
    };
    const filters = filtersOf(strategy, pointer, mistakes)
      .map(({ filter, at }) => {
        const compiled = compileFilter(filter, at, context);
        if (compiled !== undefined && compiled.correlations.length > 0)
          mistakes.add(
            `${at}/correlate`,
            'A schedule takes events one by one: there is nothing to correlate.',
          );
        return compiled;
      })
      .filter(each => each !== undefined);
    for (const { source, pointer: at } of found) {
      const problem = await expressions.check(source);
      if (problem !== undefined) mistakes.add(at, problem);
    }
    mistakes.throwIfAny();
    return {
      strategy,
      types: [...new Set(filters.flatMap(({ types }) => types))],
      conditions: filters.map(({ condition }) => condition),
    };
  };
}

function filtersOf(
  strategy: unknown,
  pointer: string,
  mistakes: Mistakes,
): { readonly filter: unknown; readonly at: string }[] {
  const [[kind, value] = []] = Object.entries(strategy ?? {}) as [string, unknown][]; // its keys are looked at below
  if (kind === 'one') return [{ filter: value, at: `${pointer}/one` }];
  if (kind === 'any' && Array.isArray(value) && value.length > 0)
    return value.map((filter: unknown, index) => ({ filter, at: `${pointer}/any/${index}` }));
  mistakes.add(
    pointer,
    'Expected `one` event filter or `any` of a list. To begin when several events have come, `listen` to them in the workflow.',
  );
  return [];
}
