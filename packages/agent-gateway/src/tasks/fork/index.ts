import * as z from 'zod';
import { defineTask } from '../../domain/task-type.ts';
import type { Next } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';

const forkSchema = z.strictObject({
  branches: z.array(z.record(z.string(), z.unknown())).min(1),
  compete: z.boolean().default(false),
});

interface Options {
  readonly lists: readonly Next[];
  readonly isRace: boolean;
}

/**
 * `fork`: tasks at the same time, each on the input of the fork. It ends when all have ended, with their outputs in the order in
 * which they are written; with `compete`, when the first has, with its output, and the others are cut off.
 */
export const forkTask = defineTask<Options, undefined>({
  type: 'fork',
  keys: ['fork'],
  compile({ fork }, context) {
    const pointer = `${context.path}/fork`;
    const shape = checkShape(forkSchema, { value: fork, pointer }, context);
    if (shape === undefined) return { lists: [], isRace: false };
    const { branches, compete } = shape;
    const lists = branches.map((entry, index) => context.single(entry, `${pointer}/branches/${index}`));
    return { lists, isRace: compete };
  },
  prepare: async () => undefined,
  plan({ options: { lists, isRace }, branches }) {
    const { opened, completed, first, failed, outputs } = branches;
    if (isRace && first?.result.status === 'completed')
      return { type: 'complete', output: first.result.output };
    if (failed?.result.status === 'failed') return { type: 'fail', error: failed.result.error };
    if (opened > 0 && completed === lists.length) return { type: 'complete', output: [...outputs] };
    const open = opened > 0 ? [] : lists;
    return {
      type: 'branches',
      open: open.map(list => ({ first: list, data: 'input', isCollected: !isRace })),
    };
  },
});
