import type { CallState } from './call-state.ts';
import { corruptJournal } from './journal-errors.ts';
import { runError } from './run-error.ts';
import type { Resolution, RunEvent, Usage } from './run-events.ts';
import { type OpenTask, type RunState, taskKey } from './run-state.ts';

type CallEvent = Exclude<Extract<RunEvent, { readonly call: string }>, { readonly type: 'call-progressed' }>;

/** Folds what became of one call. */
export function applyCall(state: RunState, event: CallEvent): void {
  const task = state.tasks.get(taskKey(event));
  if (task === undefined) throw corruptJournal(`'${event.type}' outside of a task`);
  const before = task.calls.get(event.call);
  const after = callAfter(event, before);
  task.calls.set(event.call, after);
  state.parkedCalls += Number(after.status === 'parked') - Number(before?.status === 'parked');
  state.touched.add(task);
  if (event.type === 'call-completed') book(state, event.costNanoUsd, event.usage);
}

/** The run goes on: what no budget paid for is asked for again, and so is what is under way should it be refused yet. */
export function releaseHeldCalls({ calls }: OpenTask): void {
  for (const [id, call] of calls) {
    if (call.status === 'held') calls.set(id, { status: 'released', attempt: call.attempt });
    if (call.status === 'started') calls.set(id, { ...call, isEarlier: true });
  }
}

/** The task is over, and with it what its calls waited for. */
export function forgetCalls(state: RunState, task: OpenTask): void {
  for (const call of task.calls.values()) state.parkedCalls -= Number(call.status === 'parked');
}

function callAfter(event: CallEvent, before: CallState | undefined): CallState {
  const attempt = before !== undefined && 'attempt' in before ? before.attempt : 0;
  switch (event.type) {
    case 'call-started':
      return { status: 'started', attempt: event.attempt };
    case 'call-completed':
      return { status: 'completed', result: event.result };
    case 'call-failed': {
      const { error, retryAtMs } = event;
      return retryAtMs === undefined
        ? { status: 'failed', error }
        : { status: 'retrying', attempt, retryAtMs };
    }
    case 'call-held':
      return before?.status === 'started' && before.isEarlier === true
        ? { status: 'released', attempt }
        : { status: 'held', attempt, error: event.error };
    case 'call-in-doubt':
      return { status: 'in-doubt', attempt };
    case 'call-parked':
      return { status: 'parked', attempt };
    case 'call-resolved':
      return resolved(event.resolution, event.path, attempt);
  }
}

function resolved(resolution: Resolution, path: string, attempt: number): CallState {
  switch (resolution.action) {
    case 'retry':
      return { status: 'released', attempt };
    case 'complete':
      return { status: 'completed', result: resolution.result };
    case 'fail': {
      const { detail } = resolution;
      const error = runError('runtime', {
        status: 500,
        detail,
        instance: path,
        reason: 'resolved_as_failed',
      });
      return { status: 'failed', error };
    }
  }
}

function book(state: RunState, costNanoUsd: string | undefined, usage: Usage | undefined): void {
  if (costNanoUsd !== undefined) state.costNanoUsd += BigInt(costNanoUsd);
  else if (usage !== undefined) state.unpricedCalls++;
  state.inputTokens += usage?.inputTokens ?? 0;
  state.outputTokens += usage?.outputTokens ?? 0;
}
