import { defineTask } from '../../domain/task-type.ts';

/** `do`: a list of tasks, one after another. The engine walks the list; this says where it begins. */
export const doTask = defineTask<undefined, undefined>({
  type: 'do',
  keys: ['do'],
  compile(definition, context) {
    context.list(definition.do, `${context.path}/do`);
    return undefined;
  },
  prepare: async () => undefined,
  plan: () => {
    throw new Error('A list is walked, not planned');
  },
});
