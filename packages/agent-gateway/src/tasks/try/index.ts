import type { RunError } from '../../domain/run-events.ts';
import type { BranchOutcome } from '../../domain/run-state.ts';
import { defineTask, type Move, type TaskView } from '../../domain/task-type.ts';
import type { Next } from '../../domain/workflow.ts';
import { type CatchOptions, compileCatch } from './catch.ts';
import { retryAtMs } from './retry.ts';

export interface TryOptions {
  readonly list: Next;
  readonly catch: CatchOptions | undefined;
}

type View = TaskView<TryOptions, undefined>;

/**
 * `try`: a list of tasks, and what to do when one of them fails: again, after a while, or something else. What the failed list had
 * completed and can undo is undone before.
 */
export const tryTask = defineTask<TryOptions, undefined>({
  type: 'try',
  keys: ['try', 'catch'],
  undoes: true,
  compile(definition, context) {
    const list = context.list(definition.try, `${context.path}/try`);
    return { list, catch: compileCatch(definition.catch, context) };
  },
  prepare: async () => undefined,
  plan(view) {
    const { options, branches } = view;
    const { last, open } = branches;
    if (open > 0) return { type: 'branches', open: [] };
    if (last === undefined) return attempt(options.list);
    switch (last.result.status) {
      case 'completed':
        return { type: 'complete', output: last.result.output };
      case 'failed':
        return answer(view, last, last.result.error);
      case 'refused':
        return refuse(view, last);
    }
  },
});

const attempt = (list: Next): Move => ({ type: 'branches', open: [{ first: list, data: 'input' }] });

function answer(view: View, last: BranchOutcome, error: RunError): Move {
  const { options, nowMs } = view;
  const rule = options.catch;
  if (rule === undefined || last.list !== options.list || !rule.matches(error))
    return { type: 'fail', error };
  const atMs = rule.retry && retryAtMs(rule.retry, { view, failedAtMs: last.endedAtMs });
  if (rule.retry === undefined || atMs === undefined) return handle(rule, error);
  if (nowMs < atMs) return { type: 'sleep', untilMs: atMs };
  return {
    type: 'branches',
    open: [
      {
        first: options.list,
        data: 'input',
        variables: { [rule.as]: error },
        when: [...rule.when, ...rule.retry.when],
        unless: [...rule.unless, ...rule.retry.unless],
      },
    ],
  };
}

function handle({ list, as, when, unless }: CatchOptions, error: RunError): Move {
  return {
    type: 'branches',
    open: [{ first: list, data: 'input', variables: { [as]: error }, when, unless }],
  };
}

/** The conditions of a second attempt did not hold: then it is caught. Those of the catch did not: then it is not. */
function refuse({ options, branches }: View, last: BranchOutcome): Move {
  const failure = branches.failed?.result;
  if (failure?.status !== 'failed' || options.catch === undefined)
    throw new Error('Refused without a failure');
  return last.list === options.list
    ? handle(options.catch, failure.error)
    : { type: 'fail', error: failure.error };
}
