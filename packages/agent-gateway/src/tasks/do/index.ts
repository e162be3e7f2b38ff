import { defineTask } from '../../domain/task-type.ts';
import { planOneList } from '../one-list.ts';

/** `do`: a list of tasks, one after another. The engine opens the list as the task begins, and walks it. */
export const doTask = defineTask<undefined, undefined>({
  type: 'do',
  keys: ['do'],
  compile(definition, context) {
    context.ownList(definition.do, `${context.path}/do`);
    return undefined;
  },
  prepare: async () => undefined,
  plan: ({ branches }) => planOneList(branches),
});
