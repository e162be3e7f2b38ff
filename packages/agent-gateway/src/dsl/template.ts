import type { Template } from '../domain/workflow.ts';

const wholeExpression = /^\s*\$\{([\s\S]*)\}\s*$/;

/** `${ … }` around a whole string makes it an expression; anything else is itself (specification 1.0, strict mode). */
export function expressionIn(text: string): string | undefined {
  const source = wholeExpression.exec(text)?.[1]?.trim();
  return source === '' ? undefined : source;
}

export interface FoundExpression {
  readonly source: string;
  readonly pointer: string;
  /** Names in scope beside the standard ones. */
  readonly variables: readonly string[];
}

/** Finds the expressions in a value of a definition. Parts without any become one literal. */
export function compileTemplate(
  value: unknown,
  pointer: string,
  found: Omit<FoundExpression, 'variables'>[],
): Template {
  if (typeof value === 'string') {
    const source = expressionIn(value);
    if (source === undefined) return { kind: 'literal', value };
    found.push({ source, pointer });
    return { kind: 'expression', source };
  }
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compileTemplate(item, `${pointer}/${index}`, found));
    return items.every(item => item.kind === 'literal')
      ? { kind: 'literal', value }
      : { kind: 'array', items };
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, each]) => [key, compileTemplate(each, `${pointer}/${escapePointer(key)}`, found)] as const,
    );
    const isLiteral = entries.every(([, each]) => each.kind === 'literal');
    return isLiteral ? { kind: 'literal', value } : { kind: 'object', entries };
  }
  return { kind: 'literal', value };
}

/** RFC 6901 section 3. */
export function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}
