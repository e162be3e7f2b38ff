import type { ExpressionScope, Expressions } from './expressions.ts';
import type { Template } from './workflow.ts';

/** The value of a template: expressions evaluated, everything else as it was written. */
export async function evaluateTemplate(
  template: Template,
  scope: ExpressionScope,
  expressions: Pick<Expressions, 'evaluate'>,
): Promise<unknown> {
  switch (template.kind) {
    case 'literal':
      return template.value;
    case 'expression':
      return expressions.evaluate(template.source, scope);
    case 'array':
      return Promise.all(template.items.map(item => evaluateTemplate(item, scope, expressions)));
    case 'object': {
      const entries = await Promise.all(
        template.entries.map(
          async ([key, value]) => [key, await evaluateTemplate(value, scope, expressions)] as const,
        ),
      );
      return Object.fromEntries(entries);
    }
  }
}
