import { defineTask } from '../../domain/task-type.ts';
import type { Directive } from '../../domain/workflow.ts';
import { type Case, compileCases, directiveOf } from './cases.ts';

/** `switch`: goes where the first case that holds points. Its output is its input. */
export const switchTask = defineTask<
  { readonly cases: readonly Case[] },
  { readonly directive: Directive | null }
>({
  type: 'switch',
  keys: ['switch'],
  compile: (definition, context) => ({ cases: compileCases(definition.switch, context) }),
  prepare: async ({ cases }, scope) => ({ directive: await directiveOf(cases, scope) }),
  plan({ input, arguments: { directive } }) {
    return { type: 'complete', output: input, ...(directive !== null && { directive }) };
  },
});
