import { runError } from './run-error.ts';
import type { RunError, RunEvent } from './run-events.ts';
import { type ActiveTask, type CallState, type RunState, terminalStatuses } from './run-state.ts';
import type { InDoubtAnswer, Move, PlannedCall, TaskTypes } from './task-type.ts';
import { type Next, nextOf, type TaskNode, type Workflow } from './workflow.ts';

/** What to do next. `decide` gives one of these; the run loop does it. */
export type Command =
  /** Evaluate the task's condition, input and arguments, and begin it. */
  | { readonly type: 'begin'; readonly node: TaskNode; readonly visit: number; readonly input: unknown }
  /** Make these calls, then wait for any call under way, and no longer than `wakeAtMs`. */
  | { readonly type: 'await'; readonly start: readonly StartedCall[]; readonly wakeAtMs: number }
  /** Transform the output and end the task. */
  | { readonly type: 'complete'; readonly task: CompletedTask; readonly next: Next }
  /** Write these down and decide again. */
  | { readonly type: 'record'; readonly events: readonly RunEvent[] }
  /** Nothing to do before that time, or before somebody says something: let go of the run. */
  | { readonly type: 'release'; readonly wakeAtMs: number }
  | { readonly type: 'stop' };

export interface StartedCall {
  readonly call: PlannedCall;
  readonly attempt: number;
}

export interface CompletedTask {
  readonly node: TaskNode;
  readonly visit: number;
  readonly input: unknown;
  readonly startedAtMs: number;
  /** The output before `output.as`. */
  readonly output: unknown;
  /** Whether the output is what the fold has already. */
  readonly isUnchanged: boolean;
}

export interface DecideOptions {
  readonly workflow: Workflow;
  readonly types: TaskTypes;
  readonly nowMs: number;
}

/** Pure: the same journal and the same time give the same answer, on any worker, for ever (AG-3). */
export function decide(state: RunState, options: DecideOptions): Command {
  if (terminalStatuses.has(state.status)) return { type: 'stop' };
  if (state.isCancelRequested) return record({ type: 'run-cancelled' });
  if (state.failure !== undefined) return record({ type: 'run-failed', error: state.failure });
  if (options.nowMs >= state.deadlineAtMs)
    return record({ type: 'run-failed', error: timeoutOf('', 'The run took longer than it may.') });
  const late = lateTask(state, options.nowMs);
  if (late !== undefined) return fail(late, timeoutOf(late.path, 'The task took longer than its timeout.'));
  if (state.task !== undefined) return decideTask(state, state.task, options);
  const frame = state.frames.at(-1);
  if (frame === undefined) {
    if (!state.visits.has('')) return begin(state, options.workflow.root, state.input);
    return record({ type: 'run-completed', output: state.output });
  }
  const node = nodeOf(options.workflow, frame.next ?? frame.path);
  if (frame.next !== null) return begin(state, node, frame.data);
  const { visit, input, startedAtMs, data } = frame;
  return {
    type: 'complete',
    task: { node, visit, input, startedAtMs, output: data, isUnchanged: true },
    next: nextOf(node, node.directive),
  };
}

function begin(state: RunState, node: TaskNode, input: unknown): Command {
  const visit = (state.visits.get(node.path) ?? 0) + 1;
  const { limits } = state;
  const problem =
    state.steps >= limits.maxSteps
      ? `The run has begun ${state.steps} tasks; the limit is ${limits.maxSteps}.`
      : visit > limits.maxVisits
        ? `The task was begun ${limits.maxVisits} times; that is the limit for one task.`
        : journalProblem(state);
  if (problem === undefined) return { type: 'begin', node, visit, input };
  return fail({ path: node.path, visit }, limitReached(node.path, problem));
}

function journalProblem({ recordedBytes, limits }: RunState): string | undefined {
  if (recordedBytes <= limits.maxJournalBytes) return undefined;
  return `The run has recorded more than ${limits.maxJournalBytes} bytes.`;
}

function limitReached(instance: string, detail: string): RunError {
  return runError('runtime', { status: 400, detail, instance, reason: 'run_limit_reached' });
}

function decideTask(state: RunState, task: ActiveTask, options: DecideOptions): Command {
  const node = nodeOf(options.workflow, task.path);
  const type = options.types.get(node.type);
  if (type === undefined) throw new Error(`No task type '${node.type}'`);
  const move = type.plan({
    node,
    options: node.options,
    arguments: task.arguments,
    input: task.input,
    startedAtMs: task.startedAtMs,
    nowMs: options.nowMs,
    calls: task.calls,
  });
  return followMove(state, { task, node, move, nowMs: options.nowMs });
}

function followMove(
  state: RunState,
  { task, node, move, nowMs }: { task: ActiveTask; node: TaskNode; move: Move; nowMs: number },
): Command {
  const { path, visit, input, startedAtMs } = task;
  switch (move.type) {
    case 'complete': {
      const isUnchanged = move.output === input;
      return {
        type: 'complete',
        task: { node, visit, input, startedAtMs, output: move.output, isUnchanged },
        next: nextOf(node, move.directive ?? node.directive),
      };
    }
    case 'fail':
      return fail({ path, visit }, { ...move.error, instance: path });
    case 'sleep':
      return { type: 'release', wakeAtMs: Math.min(move.untilMs, nextDeadline(state)) };
    case 'calls':
      return decideCalls(state, task, move.calls, nowMs);
  }
}

/** Every outstanding call is looked at, so that parallel calls begin together. */
function decideCalls(
  state: RunState,
  task: ActiveTask,
  calls: readonly PlannedCall[],
  nowMs: number,
): Command {
  const start: StartedCall[] = [];
  const events: RunEvent[] = [];
  let running = 0;
  let retryAtMs = Number.POSITIVE_INFINITY;
  for (const call of calls) {
    const answer = decideCall(task, call, nowMs);
    if (answer.type === 'start') addOnce(start, answer.started);
    else if (answer.type === 'record') events.push(answer.event);
    else if (answer.type === 'later') retryAtMs = Math.min(retryAtMs, answer.atMs);
    else if (answer.type === 'running') running++;
  }
  if (events.length > 0) return { type: 'record', events };
  const problem = start.length > 0 ? journalProblem(state) : undefined;
  if (problem !== undefined) return fail(task, limitReached(task.path, problem));
  const wakeAtMs = Math.min(retryAtMs, nextDeadline(state));
  if (start.length > 0 || running > 0) return { type: 'await', start, wakeAtMs };
  return { type: 'release', wakeAtMs };
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
  | { readonly type: 'parked' };

function decideCall(task: ActiveTask, call: PlannedCall, nowMs: number): CallAnswer {
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

function answerDoubt(task: ActiveTask, call: PlannedCall, attempt: number, nowMs: number): CallAnswer {
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
  task: ActiveTask,
  answer: InDoubtAnswer,
  nowMs: number,
): 'retry' | 'park' | 'fail' | CallAnswer {
  if (typeof answer === 'string') return answer;
  const asked = task.calls.get(answer.ask.id);
  if (asked?.status === 'completed') return answer.answer(asked.result);
  if (asked?.status === 'failed') return 'park';
  return decideCall(task, answer.ask, nowMs);
}

/** The task, or the list around it, whose time is over. */
function lateTask(state: RunState, nowMs: number): { path: string; visit: number } | undefined {
  const isLate = (open: { deadlineAtMs: number | undefined }) =>
    open.deadlineAtMs !== undefined && nowMs >= open.deadlineAtMs;
  const frame = state.frames.find(isLate);
  if (frame !== undefined) return frame;
  return state.task !== undefined && isLate(state.task) ? state.task : undefined;
}

/** The earliest deadline of the run, the open lists and the task. */
function nextDeadline(state: RunState): number {
  let earliest = state.deadlineAtMs;
  for (const open of [...state.frames, ...(state.task ? [state.task] : [])]) {
    earliest = Math.min(earliest, open.deadlineAtMs ?? Number.POSITIVE_INFINITY);
  }
  return earliest;
}

function nodeOf(workflow: Workflow, path: string): TaskNode {
  const node = workflow.tasks.get(path);
  if (node === undefined) throw new Error(`The definition has no task '${path}'`);
  return node;
}

function timeoutOf(instance: string, detail: string): RunError {
  return runError('timeout', { status: 408, detail, instance, reason: 'task_timeout' });
}

const record = (...events: readonly RunEvent[]): Command => ({ type: 'record', events });

function fail(task: { readonly path: string; readonly visit: number }, error: RunError): Command {
  return record({ type: 'task-failed', path: task.path, visit: task.visit, error });
}

/** Calls that had begun when the last worker let go without a word. */
export function callsInDoubt(state: RunState): RunEvent[] {
  const { task } = state;
  if (task === undefined) return [];
  return [...task.calls]
    .filter((entry): entry is [string, CallState] => entry[1].status === 'started')
    .map(([call]) => ({ type: 'call-in-doubt', path: task.path, visit: task.visit, call }));
}
