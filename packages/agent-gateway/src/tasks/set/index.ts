import { defineTask } from '../../domain/task-type.ts';
import type { Template } from '../../domain/workflow.ts';

/** `set`: its output is the value that the definition describes. */
export const setTask = defineTask<{ readonly value: Template }, { readonly value: unknown }>({
  type: 'set',
  keys: ['set'],
  compile(definition, context) {
    const pointer = `${context.path}/set`;
    const { set } = definition;
    const isObject = typeof set === 'object' && set !== null && !Array.isArray(set);
    if (!isObject && typeof set !== 'string')
      context.mistake(pointer, 'Expected an object, or an expression that gives one.');
    return {
      value: typeof set === 'string' ? context.expression(set, pointer) : context.template(set, pointer),
    };
  },
  prepare: async ({ value }, scope) => ({ value: await scope.evaluate(value) }),
  plan: view => ({ type: 'complete', output: view.arguments.value }),
});
