import type { Template } from '../../domain/workflow.ts';
import type { Correlation, EventFilter } from './event-filter.ts';

/** What the match of an event gives, and the journal keeps. */
export interface EventMatch {
  /** Indexes of the filters that let it through. */
  readonly filters: readonly number[];
  /** Values of the correlations of those filters. */
  readonly keys: Readonly<Record<string, unknown>>;
  /** The condition of `until` holds with this event. */
  readonly isLast: boolean;
}

export interface MatchOptions {
  readonly filters: readonly EventFilter[];
  /** Which of the filters still count. */
  readonly open: readonly number[];
  /** Any event is let through. */
  readonly takesAny: boolean;
  /** Expectations that earlier events have set. */
  readonly known: Readonly<Record<string, unknown>>;
  /** The condition of `until`, over the list of what was read. */
  readonly until: string | undefined;
  /** Reads one event. */
  readonly read: string;
}

/** Name of the variable with what was read before. */
export const readBefore = 'strataRead';

/** One jq program that says of an event what `EventMatch` holds, or `null`. `$strataRead` is what was read before. */
export function matchTemplate({ filters, open, takesAny, known, until, read }: MatchOptions): Template {
  const expected = expectationsIn(filters);
  const tried = open.map(index => {
    const { condition, correlations } = filters[index] ?? { condition: 'false', correlations: [] };
    const all = [
      condition,
      ...correlations.map(each => correlationCondition(each, { expected, known })),
    ].join(' and ');
    const keys = correlations.map(({ key, from }) => `${JSON.stringify(key)}: ${from}`).join(', ');
    return `(if ${all} then {filter: ${index}, keys: {${keys}}} else empty end)`;
  });
  const isLast =
    until === undefined ? 'false' : `(($${readBefore} + [$event | ${read}]) | (${until}\n) | . == true)`;
  const matched = `{filters: map(.filter), keys: (map(.keys) | add // {}), isLast: ${isLast}}`;
  const verdict = takesAny ? matched : `if length == 0 then null else ${matched} end`;
  return { kind: 'expression', source: `. as $event | [${tried.join(', ')}] | ${verdict}` };
}

/** What filters expect of a key: of one that names it without saying, the others say it. */
function expectationsIn(filters: readonly EventFilter[]): ReadonlyMap<string, string> {
  const said = filters.flatMap(({ correlations }) =>
    correlations.flatMap(({ key, expect }) => (expect === undefined ? [] : [[key, expect] as const])),
  );
  return new Map(said.toReversed());
}

function correlationCondition(
  { key, from, expect }: Correlation,
  {
    expected,
    known,
  }: { readonly expected: ReadonlyMap<string, string>; readonly known: Readonly<Record<string, unknown>> },
): string {
  const told = expect ?? expected.get(key);
  if (told !== undefined) return `(${from} == ($input | ${told}))`;
  return Object.hasOwn(known, key) ? `(${from} == ${JSON.stringify(known[key])})` : `(${from} != null)`;
}
