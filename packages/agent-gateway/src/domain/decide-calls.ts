import type { Command, StartedCall } from './command.ts';
import type { RunError } from './run-error.ts';
import { runError } from './run-error.ts';
import type { RunEvent } from './run-events.ts';
import type { OpenTask, RunState } from './run-state.ts';
import type { InDoubtAnswer, PlannedCall } from './task-type.ts';

const never = Number.POSITIVE_INFINITY;

/** Every outstanding call is looked at, so that parallel calls begin together. */
export function decideCalls(task: OpenTask, calls: readonly PlannedCall[], nowMs: number): Command {
  const start: StartedCall[] = [];
  const events: RunEvent[] = [];
  let shortage: RunError | undefined;
  let untilMs = task.deadlineAtMs ?? never;
  for (const call of calls) {
    const answer = decideCall(task, call, nowMs);
    if (answer.type === 'start') addOnce(start, answer.started);
    else if (answer.type === 'record') events.push(answer.event);
    else if (answer.type === 'held') shortage ??= answer.error;
    else if (answer.type === 'later') untilMs = Math.min(untilMs, answer.atMs);
  }
  if (shortage !== undefined) events.push({ type: 'run-paused', by: 'engine', error: shortage });
  if (events.length > 0) return { type: 'record', events };
  return start.length > 0 ? { type: 'call', task, start } : { type: 'wait', untilMs };
}

/** Two calls in doubt may ask the same question; it is asked once. */
function addOnce(start: StartedCall[], started: StartedCall): void {
  if (!start.some(each => each.call.id === started.call.id)) start.push(started);
}

type CallAnswer =
  | { readonly type: 'start'; readonly started: StartedCall }
  | { readonly type: 'record'; readonly event: RunEvent }
  | { readonly type: 'later'; readonly atMs: number }
  | { readonly type: 'running' }
  | { readonly type: 'held'; readonly error: RunError }
  | { readonly type: 'parked' };

function decideCall(task: OpenTask, call: PlannedCall, nowMs: number): CallAnswer {
  const known = task.calls.get(call.id);
  if (known === undefined) return { type: 'start', started: { call, attempt: 1 } };
  switch (known.status) {
    case 'started':
      return { type: 'running' };
    case 'retrying':
      if (nowMs < known.retryAtMs) return { type: 'later', atMs: known.retryAtMs };
      return again(call, known.attempt);
    case 'released':
      return again(call, known.attempt);
    case 'held':
      return { type: 'held', error: known.error };
    case 'parked':
      return { type: 'parked' };
    case 'in-doubt':
      return answerDoubt(task, call, known.attempt, nowMs);
    case 'completed':
    case 'failed':
      throw new Error(`The plan of '${task.path}' asks for '${call.id}', which has ended`);
  }
}

const again = (call: PlannedCall, attempt: number): CallAnswer => ({
  type: 'start',
  started: { call, attempt: attempt + 1 },
});

function answerDoubt(task: OpenTask, call: PlannedCall, attempt: number, nowMs: number): CallAnswer {
  const policy = policyOf(task, call.inDoubt, nowMs);
  if (typeof policy === 'object') return policy;
  const of = { path: task.path, visit: task.visit, call: call.id };
  switch (policy) {
    case 'retry':
      return again(call, attempt);
    case 'park':
      return { type: 'record', event: { type: 'call-parked', ...of } };
    case 'fail':
      return {
        type: 'record',
        event: {
          type: 'call-failed',
          ...of,
          error: runError('runtime', {
            status: 500,
            detail: 'The worker died during the call, and the definition says to give it up then.',
            instance: task.path,
            reason: 'in_doubt',
          }),
        },
      };
  }
}

function policyOf(
  task: OpenTask,
  answer: InDoubtAnswer,
  nowMs: number,
): 'retry' | 'park' | 'fail' | CallAnswer {
  if (typeof answer === 'string') return answer;
  const asked = task.calls.get(answer.ask.id);
  if (asked?.status === 'completed') return answer.answer(asked.result);
  if (asked?.status === 'failed') return 'park';
  return decideCall(task, answer.ask, nowMs);
}

/** Calls that had begun when the last worker let go without a word. */
export function callsInDoubt(state: RunState): RunEvent[] {
  return [...state.tasks.values()].flatMap(({ path, visit, calls }) =>
    [...calls]
      .filter(([, { status }]) => status === 'started')
      .map(([call]): RunEvent => ({ type: 'call-in-doubt', path, visit, call })),
  );
}
