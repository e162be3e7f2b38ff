import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import * as z from 'zod';
import type { BranchOutcome } from '../../domain/run-state.ts';
import { defineTask, type Move, type PlannedBranch } from '../../domain/task-type.ts';
import type { Next, Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';
import { variableName } from '../variable-name.ts';

const forSchema = z.strictObject({
  each: variableName.default('item'),
  in: z.string().min(1),
  at: variableName.default('index'),
});

const mapSchema = z.looseObject({
  gateway: z.looseObject({ concurrency: z.int().min(1).max(1000).optional() }).optional(),
});

interface Options {
  readonly each: string;
  readonly at: string;
  readonly items: Template;
  readonly while: Template | undefined;
  readonly list: Next;
  /** Turns at a time; undefined for a loop, in which each turn begins with what the one before gave. */
  readonly concurrency: number | undefined;
}

/**
 * `for`: a list of tasks for each item of a collection. A loop by the specification: in order, each turn on the output of the one
 * before; its output is that of the last turn. With `metadata.gateway.concurrency` a map: every turn on the input of the `for`, so
 * many at a time; its output is the array of their outputs, in the order of the items.
 */
export const forTask = defineTask<Options | undefined, { readonly items: readonly unknown[] }>({
  type: 'for',
  keys: ['for', 'while', 'do'],
  compile(definition, context) {
    const { path } = context;
    const shape = checkShape(forSchema, { value: definition.for, pointer: `${path}/for` }, context);
    if (shape === undefined) return undefined;
    const { each, at } = shape;
    const variables = [each, at];
    return {
      each,
      at,
      items: context.expression(shape.in, `${path}/for/in`),
      while:
        definition.while === undefined
          ? undefined
          : context.expression(definition.while, `${path}/while`, variables),
      list: context.list(definition.do, `${path}/do`, variables),
      concurrency: mapSchema.safeParse(definition.metadata).data?.gateway?.concurrency,
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const items = await scope.evaluate(options.items);
    if (Array.isArray(items)) return { items };
    throw new GatewayError('invalid_request', '`for.in` gave no array.', { reason: 'expression_failed' });
  },
  plan({ options, arguments: { items }, input, branches }) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { opened, open, failed, last, outputs } = branches;
    if (failed?.result.status === 'failed') return { type: 'fail', error: failed.result.error };
    const isOver = opened === items.length || last?.result.status === 'refused';
    const isMap = options.concurrency !== undefined;
    if (isOver && open === 0)
      return { type: 'complete', output: isMap ? [...outputs] : outputOf(last, input) };
    if (isOver) return { type: 'branches', open: [] };
    return turns(options, items, { opened, open });
  },
});

function turns(
  options: Options,
  items: readonly unknown[],
  { opened, open }: { opened: number; open: number },
): Move {
  const { concurrency, each, at, list, while: condition } = options;
  // A condition is asked before each turn, so that the turns of a map with one begin one after another.
  const free = condition === undefined ? (concurrency ?? 1) - open : Math.min(1, (concurrency ?? 1) - open);
  const next = items.slice(opened, opened + free);
  return {
    type: 'branches',
    open: next.map(
      (item, index): PlannedBranch => ({
        first: list,
        data: concurrency === undefined ? 'last' : 'input',
        variables: { [each]: item ?? null, [at]: opened + index },
        isCollected: concurrency !== undefined,
        ...(condition !== undefined && { when: [condition] }),
      }),
    ),
  };
}

function outputOf(last: BranchOutcome | undefined, input: unknown): unknown {
  switch (last?.result.status) {
    case 'completed':
      return last.result.output;
    case 'refused':
      return last.result.kept;
    default:
      return input;
  }
}
