import { planFee } from './agent-fee.ts';
import type { Command, CompletedTask } from './command.ts';
import { decideCalls } from './decide-calls.ts';
import { lastOutput } from './fold-lists.ts';
import { notUnderstood } from './journal-errors.ts';
import { limitReached, listProblem, recordProblem } from './limits.ts';
import { childTasks, tasksToReserve } from './live-tasks.ts';
import type { RunError } from './run-error.ts';
import { runError } from './run-error.ts';
import type { RunEvent } from './run-events.ts';
import { type Branch, isBranch, type OpenTask, type RunState, terminalStatuses } from './run-state.ts';
import { seededJitter } from './seeded-jitter.ts';
import type { AwaitedEvents, Move, PlannedBranch, PlannedChild, TaskType, TaskTypes } from './task-type.ts';
import { nextOf, type TaskNode, type Workflow } from './workflow.ts';

export interface DecideOptions {
  readonly workflow: Workflow;
  readonly types: TaskTypes;
  readonly nowMs: number;
}

const never = Number.POSITIVE_INFINITY;
const engine = 'engine';

/**
 * What concerns the run as a whole; undefined when its open tasks and lists decide. Pure, as all decisions are: the same journal
 * and the same time give the same answer, on any worker, for ever (AG-3).
 */
export function decideRun(state: RunState, options: DecideOptions): Command | undefined {
  if (terminalStatuses.has(state.status)) return { type: 'stop' };
  if (state.isCancelRequested && !hasWorkLeft(state))
    return record({ type: 'run-cancelled', ...undoing(state) });
  if (state.failure !== undefined)
    return record({ type: 'run-failed', error: state.failure, ...undoing(state) });
  if (options.nowMs >= state.expiresAtMs)
    return record({ type: 'run-failed', error: expired(), ...undoing(state) });
  if (state.pause !== undefined) return { type: 'wait', untilMs: state.expiresAtMs };
  if (options.nowMs >= state.deadlineAtMs && !state.isCancelRequested)
    return pause(limitReached('', `The run has taken longer than ${state.limits.maxRunMs} ms.`));
  if (state.root !== undefined) return undefined;
  if (!state.visits.has('')) {
    const { root } = options.workflow;
    const least = tasksToReserve(state, { tasks: 1 });
    if (least !== undefined) return { type: 'reserve', path: '', least };
    return { type: 'begin', node: root, visit: 1, input: state.input, branch: undefined };
  }
  return record({ type: 'run-completed', output: state.output ?? null, ...undoing(state) });
}

/** What could not be undone is said with the end, also where the failure that it was undone for was answered. */
const undoing = ({ notUndone }: RunState) => (notUndone.length === 0 ? {} : { notUndone: [...notUndone] });

/** What a task or a list that is open wants. */
export function decideUnit(state: RunState, unit: OpenTask | Branch, options: DecideOptions): Command {
  return isBranch(unit) ? decideList(state, unit, options) : decideTask(state, unit, options);
}

/** Everything that is to be done now, wherever in the run. The run loop goes through it piece by piece. */
export function decideAll(state: RunState, options: DecideOptions): Command[] {
  const whole = decideRun(state, options);
  if (whole !== undefined) return [whole];
  return [...state.tasks.values(), ...state.lists.values()].map(unit => decideUnit(state, unit, options));
}

/** What was done is undone first; then the run is over. */
function hasWorkLeft({ root, failure }: RunState): boolean {
  if (root === undefined || failure !== undefined) return false;
  return root.open.size > 0 || root.compensations.length > 0;
}

function decideList(state: RunState, list: Branch, { workflow }: DecideOptions): Command {
  if (list.task !== undefined || list.next === null) return { type: 'wait', untilMs: never };
  const node = nodeOf(workflow, list.next);
  const problem = listProblem(state, list, node.path);
  if (problem !== undefined) return pause(problem);
  const least = tasksToReserve(state, { tasks: 1 });
  if (least !== undefined) return { type: 'reserve', path: node.path, least };
  const visit = (state.visits.get(node.path) ?? 0) + 1;
  return { type: 'begin', node, visit, input: list.data, branch: list };
}

function decideTask(state: RunState, task: OpenTask, options: DecideOptions): Command {
  if (task.deadlineAtMs !== undefined && options.nowMs >= task.deadlineAtMs)
    return decideLate(state, task, options);
  const undo = decideUndo(state, task);
  if (undo !== undefined) return undo;
  const node = nodeOf(options.workflow, task.path);
  const type = typeOf(options.types, node);
  const fee = planFee(node.agent, task);
  const move = fee ?? planMove(state, task, { node, type, nowMs: options.nowMs });
  return followMove(state, { task, node, move, nowMs: options.nowMs });
}

/**
 * The time of the task is over. An event that the journal has by now still counts, however late the worker looks: it came before
 * anybody knew that nobody would wait for it any more.
 */
function decideLate(state: RunState, task: OpenTask, { workflow, types, nowMs }: DecideOptions): Command {
  const late = fail(task, timeoutOf(task.path, 'The task took longer than its timeout.'));
  if (task.branches.opened > 0) return late;
  const node = nodeOf(workflow, task.path);
  const move = planMove(state, task, { node, type: typeOf(types, node), nowMs });
  if (move.type === 'events') return takeEvent(state, task, move.awaited) ?? late;
  const hasHeard = move.type === 'complete' && task.events.length > 0;
  return hasHeard ? followMove(state, { task, node, move, nowMs }) : late;
}

function typeOf(types: TaskTypes, node: TaskNode): TaskType {
  const type = types.get(node.type);
  if (type === undefined) throw notUnderstood(`No task type '${node.type}'`);
  return type;
}

function planMove(
  state: RunState,
  task: OpenTask,
  { node, type, nowMs }: { readonly node: TaskNode; readonly type: TaskType; readonly nowMs: number },
): Move {
  return type.plan({
    node,
    options: node.options,
    arguments: task.arguments,
    input: task.input,
    startedAtMs: task.startedAtMs,
    nowMs,
    calls: task.calls,
    branches: task.branches,
    events: task.events,
    hasEmitted: task.hasEmitted,
    child: task.child,
    jitter: number => seededJitter(`${state.traceparent}${task.path}#${task.visit}:${number}`),
  });
}

/** Before a failure is answered, by a `try` or by the end of the run, what had been completed is undone, the newest first. */
function decideUndo(state: RunState, task: OpenTask): Command | undefined {
  const isRoot = task.branch === undefined;
  if (!isRoot && !task.undoes) return undefined;
  const hasFailed = task.branches.last?.result.status === 'failed' || (isRoot && state.isCancelRequested);
  if (!hasFailed) return undefined;
  if (task.open.size > 0) return { type: 'wait', untilMs: task.deadlineAtMs ?? never };
  const last = task.compensations.at(-1);
  if (last === undefined) return undefined;
  return record({
    type: 'branch-opened',
    path: task.path,
    visit: task.visit,
    branch: state.lastBranch + 1,
    first: last.first,
    data: { input: last.input ?? null, output: last.output ?? null },
    isCompensation: true,
  });
}

interface Planned {
  readonly task: OpenTask;
  readonly node: TaskNode;
  readonly move: Move;
  readonly nowMs: number;
}

function followMove(state: RunState, { task, node, move, nowMs }: Planned): Command {
  const deadlineAtMs = task.deadlineAtMs ?? never;
  switch (move.type) {
    case 'complete':
      return {
        type: 'complete',
        task: completed(task, node, move.output),
        next: nextOf(node, move.directive ?? node.directive),
      };
    case 'fail':
      return fail(task, { ...move.error, instance: move.error.instance ?? task.path });
    case 'sleep':
      return { type: 'wait', untilMs: Math.min(move.untilMs, deadlineAtMs) };
    case 'calls':
      return guardRecords(state, decideCalls(task, move.calls, nowMs));
    case 'branches':
      return decideBranches(state, task, move.open);
    case 'emit': {
      const { path, visit } = task;
      return record({ type: 'event-emitted', path, visit, event: move.event });
    }
    case 'child':
      if (task.child?.held !== undefined) return pause(task.child.held);
      if (task.child !== undefined) return { type: 'wait', untilMs: deadlineAtMs };
      return decideSpawn(state, task, move.child);
    case 'events':
      return decideEvents(state, task, move);
  }
}

function completed(task: OpenTask, node: TaskNode, output: unknown): CompletedTask {
  const { visit, input, startedAtMs, branch } = task;
  const isUnchanged = output === lastOutput(task);
  return { node, visit, input, startedAtMs, branch, output, isUnchanged };
}

function guardRecords(state: RunState, command: Command): Command {
  const problem = command.type === 'call' ? recordProblem(state, command.task.path) : undefined;
  return problem === undefined ? command : pause(problem);
}

function decideBranches(state: RunState, task: OpenTask, open: readonly PlannedBranch[]): Command {
  if (open.length === 0) return { type: 'wait', untilMs: task.deadlineAtMs ?? never };
  const { maxFanOut } = state.limits;
  if (task.branches.open + open.length > maxFanOut)
    return pause(limitReached(task.path, `More than ${maxFanOut} lists would be open in one task.`));
  return { type: 'open', task, branches: open };
}

function decideSpawn(state: RunState, task: OpenTask, child: PlannedChild): Command {
  const given = childTasks(state.limits);
  const least = given === undefined ? undefined : tasksToReserve(state, { tasks: given });
  if (least !== undefined) return { type: 'reserve', path: task.path, least };
  return { type: 'spawn', task, child };
}

function decideEvents(state: RunState, task: OpenTask, move: Extract<Move, { type: 'events' }>): Command {
  const { path } = task;
  const types = (move.awaited.types ?? []).filter(type => !state.subscribed.has(type));
  if (types.length > 0) {
    const { maxMessages = never } = state.limits;
    if (state.subscribed.size + types.length > maxMessages)
      return pause(limitReached(path, `The run would listen to more than ${maxMessages} types of events.`));
    return record({ type: 'events-subscribed', types });
  }
  const taken = takeEvent(state, task, move.awaited);
  if (taken !== undefined) return taken;
  const untilMs = Math.min(move.untilMs ?? never, task.deadlineAtMs ?? never);
  return { type: 'wait', untilMs, isListening: true };
}

/** The first of the mailbox that the task has not looked at and may want. */
function takeEvent(state: RunState, task: OpenTask, awaited: AwaitedEvents): Command | undefined {
  const { path, visit } = task;
  for (const event of state.mailbox.values()) {
    if (event.receipt <= task.seenReceipt || !awaited.accepts(event)) continue;
    if (awaited.when !== undefined) return { type: 'match', task, event, awaited };
    return record({ type: 'event-taken', path, visit, receipt: event.receipt });
  }
  return undefined;
}

function nodeOf(workflow: Workflow, path: string): TaskNode {
  const node = workflow.tasks.get(path);
  if (node === undefined) throw notUnderstood(`The definition has no task '${path}'`);
  return node;
}

function timeoutOf(instance: string, detail: string): RunError {
  return runError('timeout', { status: 408, detail, instance, reason: 'task_timeout' });
}

function expired(): RunError {
  const detail = 'The right to act that the run was given has ended.';
  return runError('timeout', { status: 408, detail, instance: '', reason: 'task_timeout' });
}

const record = (...events: readonly RunEvent[]): Command => ({ type: 'record', events });

const pause = (error: RunError): Command => record({ type: 'run-paused', by: engine, error });

function fail({ path, visit }: { readonly path: string; readonly visit: number }, error: RunError): Command {
  return record({ type: 'task-failed', path, visit, error });
}
