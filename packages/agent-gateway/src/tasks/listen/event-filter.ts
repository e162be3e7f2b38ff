import * as z from 'zod';
import { eventTextProblem } from '../../domain/event-texts.ts';
import type { CompileContext } from '../../domain/task-type.ts';
import { checkShape } from '../check-shape.ts';

/** Specification 1.0, "Event Filter". */
const filterSchema = z.strictObject({
  with: z.record(z.string(), z.unknown()).refine(attributes => Object.keys(attributes).length > 0, {
    message: 'Expected at least one attribute',
  }),
  correlate: z
    .record(
      z.string().regex(/^[A-Za-z_]\w*$/, 'Expected a name'),
      z.strictObject({ from: z.string().min(1), expect: z.string().optional() }),
    )
    .default({}),
});

/** One filter as jq: expressions over an event. */
export interface EventFilter {
  /** Holds for events that the filter lets through, correlations aside. */
  readonly condition: string;
  readonly correlations: readonly Correlation[];
  /** Globs over the types that it can let through. */
  readonly types: readonly string[];
}

export interface Correlation {
  readonly key: string;
  /** Takes the value out of the event. */
  readonly from: string;
  /** What it must be, as jq over the input of whoever waits; undefined: what the first event of this key had. */
  readonly expect: string | undefined;
}

/** What a filter needs of the definition that it stands in. */
export type FilterContext = Pick<CompileContext, 'mistake' | 'template' | 'expression'>;

/** A literal with one of these is a pattern; any other is compared as it stands. */
const patternLike = /[\\^$*+?()[\]{}|]/;

export function compileFilter(
  value: unknown,
  pointer: string,
  context: FilterContext,
): EventFilter | undefined {
  const shape = checkShape(filterSchema, { value, pointer }, context);
  if (shape === undefined) return undefined;
  const { type } = shape.with;
  const literal = typeof type === 'string' && !patternLike.test(type) ? type : undefined;
  const problem = literal === undefined ? undefined : eventTextProblem('type', literal);
  if (problem !== undefined) context.mistake(`${pointer}/with/type`, `There is no such event: ${problem}.`);
  return {
    condition: Object.entries(shape.with)
      .map(([name, wanted]) => conditionOf({ name, wanted, pointer: `${pointer}/with/${name}` }, context))
      .join(' and '),
    correlations: Object.entries(shape.correlate).map(([key, { from, expect }]) => ({
      key,
      from: checked(from, `${pointer}/correlate/${key}/from`, context),
      expect:
        expect === undefined
          ? undefined
          : expectationOf(expect, `${pointer}/correlate/${key}/expect`, context),
    })),
    types: [literal ?? '*'],
  };
}

interface Attribute {
  readonly name: string;
  readonly wanted: unknown;
  readonly pointer: string;
}

/**
 * An expression sees the attribute as `.`; what it gives is either the verdict or the value to compare with. Where it fails, the event is
 * not one that it lets through: what anybody publishes must not fail the runs that listen.
 */
function conditionOf({ name, wanted, pointer }: Attribute, context: FilterContext): string {
  const attribute = `.[${JSON.stringify(name)}]`;
  const template = context.template(wanted, pointer);
  if (template.kind === 'expression')
    return `(try (${attribute} as $given | ($given | (${template.source}\n)) | if type == "boolean" then . else . == $given end) catch false)`;
  if (template.kind !== 'literal') {
    context.mistake(
      pointer,
      'Write one expression for the whole attribute, not expressions inside its value.',
    );
    return 'false';
  }
  const equal = `(${attribute} == ${JSON.stringify(template.value)})`;
  if (typeof template.value !== 'string' || !patternLike.test(template.value)) return equal;
  const pattern = JSON.stringify(`^(?:${template.value})$`);
  return `(${equal} or ((${attribute} | type) == "string" and (${attribute} | try test(${pattern}) catch false)))`;
}

function checked(text: string, pointer: string, context: FilterContext): string {
  const template = context.expression(text, pointer);
  return template.kind === 'expression' ? `(try (${template.source}\n) catch null)` : 'null';
}

/** A constant, or an expression in `${ }`. */
function expectationOf(text: string, pointer: string, context: FilterContext): string {
  const template = context.template(text, pointer);
  return template.kind === 'expression' ? `(${template.source}\n)` : JSON.stringify(text);
}
