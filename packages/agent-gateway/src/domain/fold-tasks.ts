import { isDeepStrictEqual } from 'node:util';
import { addBranch, closeTask, endAll, endBranch, lastOutput, listOf, merge, moveOn } from './fold-lists.ts';
import type { RunEvent } from './run-events.ts';
import { type Branch, type OpenTask, openTask, type RunState, taskKey } from './run-state.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

const restMs = 500;

export function startTask(state: RunState, event: EventOf<'task-started'>, atMs: number): void {
  const { path, visit } = event;
  const branch = event.branch === undefined ? undefined : listOf(state, event.branch);
  const raw = branch === undefined ? state.input : branch.data;
  const task: OpenTask = {
    path,
    visit,
    input: 'input' in event ? event.input : raw,
    arguments: event.arguments,
    startedAtMs: atMs,
    deadlineAtMs: event.deadlineAtMs,
    branch,
    calls: new Map(),
    open: new Map(),
    branches: {
      opened: 0,
      open: 0,
      completed: 0,
      outputs: [],
      first: undefined,
      last: undefined,
      failed: undefined,
    },
    events: [],
    seenReceipt: 0,
    hasEmitted: false,
    child: undefined,
    undoes: event.undoes === true,
    fee: event.fee,
    compensations: [],
  };
  countVisit(state, path, visit);
  if (branch === undefined) state.root = task;
  else {
    enter(branch, path, raw);
    branch.task = task;
  }
  state.tasks.set(taskKey(task), task);
  state.touched.add(task);
  if (event.first !== undefined)
    addBranch(state, task, {
      list: event.first,
      data: task.input,
      atMs,
      variables: {},
      id: state.lastBranch + 1,
    });
}

function enter(branch: Branch, path: string, input: unknown): void {
  const known = branch.entries.get(path);
  const isRepeat =
    known !== undefined &&
    known.rests === branch.rests &&
    (isDeepStrictEqual(known.input, input) || (known.count > 1 && isDeepStrictEqual(known.before, input)));
  branch.entries.set(path, {
    count: (known?.count ?? 0) + 1,
    input,
    before: known?.input,
    rests: branch.rests,
    repeats: isRepeat ? known.repeats + 1 : 0,
  });
}

export function skipTask(state: RunState, event: EventOf<'task-skipped'>, atMs: number): void {
  const branch = listOf(state, event.branch);
  countVisit(state, event.path, event.visit);
  enter(branch, event.path, branch.data);
  moveOn(state, branch, { next: event.next, data: branch.data, atMs });
}

export function completeTask(state: RunState, event: EventOf<'task-completed'>, atMs: number): void {
  const task = openTask(state, event);
  const output = 'output' in event ? event.output : lastOutput(task);
  if ('context' in event) state.context = event.context;
  const keeper = keeperOf(task.branch);
  closeTask(state, task);
  if (keeper !== undefined) {
    // What was to be undone if this task failed is now the concern of what is around it.
    if (task.compensations.length > 0) keeper.compensations = merge(keeper.compensations, task.compensations);
    if (event.compensation !== undefined)
      keeper.compensations.push({ ...event.compensation, seq: state.position, input: task.input, output });
  }
  if (task.branch === undefined) {
    state.root = undefined;
    state.output = output;
    return;
  }
  if (hasRested(task, atMs)) task.branch.rests++;
  if (event.next === 'end') endAll(state, output, atMs);
  else moveOn(state, task.branch, { next: event.next, data: output, atMs });
}

/** It waited, for a time or for somebody: going through the same tasks again is no idle loop then. */
function hasRested({ calls, branches, startedAtMs }: OpenTask, atMs: number): boolean {
  return calls.size === 0 && branches.opened === 0 && atMs - startedAtMs >= restMs;
}

export function failTask(state: RunState, event: EventOf<'task-failed'>, atMs: number): void {
  const { error } = event;
  const task = state.tasks.get(taskKey(event));
  if (task !== undefined) {
    closeTask(state, task);
    if (task.branch === undefined) {
      state.root = undefined;
      state.failure = error;
    } else {
      const keeper = keeperOf(task.branch);
      if (keeper !== undefined) keeper.compensations = merge(keeper.compensations, task.compensations);
      endBranch(state, task.branch, { status: 'failed', error }, atMs);
    }
    return;
  }
  // It failed before it began: its condition, its input or its arguments could not be evaluated.
  const branch = event.branch === undefined ? undefined : listOf(state, event.branch);
  countVisit(state, event.path, event.visit);
  if (branch === undefined) state.failure = error;
  else endBranch(state, branch, { status: 'failed', error }, atMs);
}

/** The nearest task around that answers failures: it keeps what is to be undone. */
function keeperOf(branch: Branch | undefined): OpenTask | undefined {
  let list = branch;
  while (list !== undefined) {
    const { owner } = list;
    if (owner.branch === undefined || owner.undoes) return owner;
    list = owner.branch;
  }
  return undefined;
}

function countVisit(state: RunState, path: string, visit: number): void {
  state.visits.set(path, visit);
  state.steps++;
}
