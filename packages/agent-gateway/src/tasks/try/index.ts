import type { RunError } from '../../domain/run-error.ts';
import type { BranchOutcome } from '../../domain/run-state.ts';
import { type CompileContext, defineTask, type Move, type TaskView } from '../../domain/task-type.ts';
import type { Next } from '../../domain/workflow.ts';
import { type CatchOptions, compileCatch } from './catch.ts';
import { type EvaluatedDurations, evaluateDurations, retryAtMs } from './retry.ts';

export interface TryOptions {
  readonly list: Next;
  readonly catch: CatchOptions | undefined;
}

type View = TaskView<TryOptions, EvaluatedDurations | undefined>;

/**
 * `try`: a list of tasks, and what to do when one of them fails: again, after a while, or something else. What the failed list had
 * completed and can undo is undone before.
 */
export const tryTask = defineTask<TryOptions, EvaluatedDurations | undefined>({
  type: 'try',
  keys: ['try', 'catch'],
  undoes: true,
  compile(definition, context) {
    const rule = compileCatch(definition.catch, context);
    return { list: attemptList(definition.try, rule, context), catch: rule };
  },
  prepare: async ({ catch: rule }, scope) => rule?.retry && evaluateDurations(rule.retry, scope),
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

/** With a limit for each attempt its list is one task, which has a timeout as any other. */
function attemptList(tasks: unknown, rule: CatchOptions | undefined, context: CompileContext): Next {
  const pointer = `${context.path}/try`;
  const after = rule?.retry?.attemptDuration;
  if (after === undefined) return context.list(tasks, pointer);
  context.relocate(`${pointer}/0/attempt/do`, pointer);
  context.relocate(
    `${pointer}/0/attempt/timeout/after`,
    `${context.path}/catch/retry/limit/attempt/duration`,
  );
  return context.list([{ attempt: { do: tasks, timeout: { after } } }], pointer);
}

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
