import { isDeepStrictEqual } from 'node:util';
import { applyCall, forgetCalls, releaseHeldCalls } from './fold-calls.ts';
import { applyChild, applyMail } from './fold-mail.ts';
import { firstTasks } from './live-tasks.ts';
import type { JournalRecord, RunEvent } from './run-events.ts';
import {
  type Branch,
  type BranchOutcome,
  type Compensation,
  type OpenTask,
  openTask,
  type RunState,
  type RunStatus,
  taskKey,
} from './run-state.ts';
import { takeUpTasks } from './take-up.ts';
import type { Next } from './workflow.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** Folds one more record into the state, at a cost that does not grow with what is folded already. */
export function apply(state: RunState, record: JournalRecord): void {
  if (record.seq !== state.position + 1)
    throw new Error(`Journal gap: expected ${state.position + 1}, found ${record.seq}`);
  foldRecord(state, record);
}

/** The same for a record that need not be the next one: what a rewind put aside is left out. */
export function foldRecord(state: RunState, record: JournalRecord): void {
  state.position = record.seq;
  state.recordedBytes += record.bytes;
  applyEvent(state, record.event, record.atMs);
}

function applyEvent(state: RunState, event: RunEvent, atMs: number): void {
  switch (event.type) {
    case 'run-created':
      createRun(state, event, atMs);
      return;
    case 'run-started':
      state.traceparent = event.traceparent;
      state.isStarted = true;
      state.status = 'running';
      return;
    case 'task-started':
      startTask(state, event, atMs);
      return;
    case 'task-skipped':
      skipTask(state, event, atMs);
      return;
    case 'branch-opened':
      openBranch(state, event, atMs);
      return;
    case 'branch-refused': {
      const owner = openTask(state, event);
      const { opened: index } = owner.branches;
      const result = { status: 'refused', kept: lastOutput(owner) } as const;
      owner.branches.opened++;
      owner.branches.last = { index, list: event.first, endedAtMs: atMs, result };
      state.touched.add(owner);
      return;
    }
    case 'task-completed':
      completeTask(state, event, atMs);
      return;
    case 'task-failed':
      failTask(state, event, atMs);
      return;
    case 'event-received':
    case 'events-subscribed':
    case 'event-taken':
    case 'event-passed':
    case 'event-emitted':
      applyMail(state, event);
      return;
    case 'child-started':
    case 'child-ended':
    case 'child-held':
      applyChild(state, event);
      return;
    case 'tasks-reserved':
      state.heldTasks = event.total;
      return;
    case 'call-progressed':
      return; // for those who watch
    case 'call-started':
    case 'call-completed':
    case 'call-failed':
    case 'call-held':
    case 'call-in-doubt':
    case 'call-parked':
    case 'call-resolved':
      applyCall(state, event);
      return;
    default:
      applyControl(state, event, atMs);
      return;
  }
}

type ControlEvent = EventOf<
  | 'cancel-requested'
  | 'run-paused'
  | 'run-resumed'
  | 'run-terminated'
  | 'run-completed'
  | 'run-failed'
  | 'run-cancelled'
  | 'run-rewound'
  | 'run-forked'
  | 'run-migrated'
  | 'run-exported'
  | 'run-imported'
>;

function applyControl(state: RunState, event: ControlEvent, atMs: number): void {
  switch (event.type) {
    case 'cancel-requested':
      state.isCancelRequested = true;
      state.pause = undefined;
      dropLists(state);
      return;
    case 'run-paused':
      state.pause = { by: event.by, atMs, error: event.error };
      return;
    case 'run-resumed':
      resume(state, event, atMs);
      return;
    case 'run-terminated':
      end(state, 'terminated');
      return;
    case 'run-completed':
      end(state, 'completed');
      state.output = event.output;
      return;
    case 'run-failed':
      end(state, 'failed');
      state.error = event.error;
      return;
    case 'run-cancelled':
      end(state, 'cancelled');
      return;
    case 'run-rewound':
      // What the run is from here on, `replay` finds in all of its records.
      end(state, 'running');
      return;
    case 'run-forked':
      fork(state, event, atMs);
      return;
    case 'run-exported':
      end(state, 'moved');
      state.orphans = []; // they go with it
      return;
    case 'run-imported':
      importRun(state, event);
      return;
    case 'run-migrated':
      // The definition of a fork is its own, whatever the other run did.
      if (state.position <= state.forkedTo) return;
      state.definition = event.definition;
      state.workflow = event.workflow;
      return;
  }
}

/** A task that waited for money or for a limit has as much time left as when its run was paused. */
function resume(state: RunState, event: EventOf<'run-resumed'>, atMs: number): void {
  const pausedMs = state.pause?.error === undefined ? 0 : atMs - state.pause.atMs;
  state.pause = undefined;
  state.limits = event.limits ?? state.limits;
  state.deadlineAtMs = event.deadlineAtMs ?? state.deadlineAtMs;
  for (const task of state.tasks.values()) {
    if (task.deadlineAtMs !== undefined) task.deadlineAtMs += pausedMs;
    releaseHeldCalls(task);
    if (task.child?.held !== undefined) {
      state.released.push(task.child.runId);
      task.child = { runId: task.child.runId, outcome: undefined };
    }
    state.touched.add(task);
  }
  for (const list of state.lists.values()) state.touched.add(list);
}

/** What was under way belongs to the other run, as what it cost does; what it had recorded is this run's too. */
function fork(state: RunState, event: EventOf<'run-forked'>, atMs: number): void {
  const { traceparent, limits, deadlineAtMs } = event;
  Object.assign(state, { traceparent, limits, deadlineAtMs, status: 'pending', isStarted: false });
  state.keyRun = undefined;
  state.rootRun = undefined;
  state.heldTasks = firstTasks(limits) ?? Number.POSITIVE_INFINITY;
  Object.assign(state, {
    pause: undefined,
    costNanoUsd: 0n,
    unpricedCalls: 0,
    inputTokens: 0,
    outputTokens: 0,
  });
  state.orphans = [];
  state.released = [];
  state.subscribed.clear();
  takeUpTasks(state, { atMs, isDropped: call => call.status !== 'completed' });
}

/** It goes on as it was. What names it outside is new, but for the keys of its calls. */
function importRun(state: RunState, event: EventOf<'run-imported'>): void {
  const { traceparent, limits, deadlineAtMs, keyRun, children, asked } = event;
  Object.assign(state, { traceparent, limits, deadlineAtMs, keyRun, isStarted: false });
  state.heldTasks = firstTasks(limits) ?? Number.POSITIVE_INFINITY;
  for (const [before, runId] of Object.entries(children)) {
    const task = state.children.get(before);
    if (task === undefined) continue;
    state.children.delete(before);
    state.children.set(runId, task);
    task.child = { runId, outcome: undefined };
  }
  for (const of of asked)
    for (const call of ['ask', 'escalate', 'expire']) openTask(state, of).calls.delete(call);
  state.subscribed.clear();
  for (const unit of [...state.tasks.values(), ...state.lists.values()]) state.touched.add(unit);
}

function createRun(state: RunState, event: EventOf<'run-created'>, atMs: number): void {
  state.workflow = event.workflow;
  state.definition = event.definition;
  state.forkedTo = event.fork?.to ?? event.imported?.to ?? 0;
  state.input = event.input;
  state.identity = event.identity;
  state.limits = event.limits;
  state.createdAtMs = atMs;
  state.deadlineAtMs = event.deadlineAtMs;
  state.expiresAtMs = event.expiresAtMs ?? Number.POSITIVE_INFINITY;
  state.traceparent = event.traceparent;
  state.parent = event.parent;
  state.queue = event.queue;
  state.queuesAround = event.queuesAround ?? [];
  state.rootRun = event.rootRun;
  state.heldTasks = event.heldTasks ?? Number.POSITIVE_INFINITY;
}

function startTask(state: RunState, event: EventOf<'task-started'>, atMs: number): void {
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

function skipTask(state: RunState, event: EventOf<'task-skipped'>, atMs: number): void {
  const branch = listOf(state, event.branch);
  countVisit(state, event.path, event.visit);
  enter(branch, event.path, branch.data);
  moveOn(state, branch, { next: event.next, data: branch.data, atMs });
}

function openBranch(state: RunState, event: EventOf<'branch-opened'>, atMs: number): void {
  const owner = openTask(state, event);
  const undone = event.isCompensation ? owner.compensations.pop() : undefined;
  addBranch(state, owner, {
    id: event.branch,
    list: event.first,
    data: 'data' in event ? event.data : event.takesLast ? lastOutput(owner) : owner.input,
    atMs,
    variables: event.variables ?? {},
    isCollected: event.isCollected === true,
    undone,
  });
}

/** What the list that ended last gave; the task's own input when none has, or it failed. */
export function lastOutput({ branches, input }: OpenTask): unknown {
  const last = branches.last?.result;
  if (last?.status === 'refused') return last.kept;
  return last?.status === 'completed' ? last.output : input;
}

function addBranch(
  state: RunState,
  owner: OpenTask,
  made: {
    id: number;
    list: Next;
    data: unknown;
    atMs: number;
    variables: Readonly<Record<string, unknown>>;
    isCollected?: boolean;
    undone?: Compensation | undefined;
  },
): void {
  if (made.id !== state.lastBranch + 1) throw new Error(`List ${made.id} follows list ${state.lastBranch}`);
  const { isCollected = false, undone, atMs, ...rest } = made;
  const branch: Branch = {
    ...rest,
    isCollected,
    undone,
    owner,
    index: undone === undefined ? owner.branches.opened : -1,
    next: made.list,
    task: undefined,
    entries: new Map(),
    rests: 0,
  };
  state.lastBranch = branch.id;
  if (undone === undefined) owner.branches.opened++;
  owner.branches.open++;
  owner.open.set(branch.id, branch);
  state.lists.set(branch.id, branch);
  state.touched.add(branch);
  if (made.list === null) endBranch(state, branch, { status: 'completed', output: branch.data }, atMs);
}

function completeTask(state: RunState, event: EventOf<'task-completed'>, atMs: number): void {
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

const restMs = 500;

/** It waited, for a time or for somebody: going through the same tasks again is no idle loop then. */
function hasRested({ calls, branches, startedAtMs }: OpenTask, atMs: number): boolean {
  return calls.size === 0 && branches.opened === 0 && atMs - startedAtMs >= restMs;
}

/** Both lists are in order of age. */
function merge(left: readonly Compensation[], right: readonly Compensation[]): Compensation[] {
  return [...left, ...right].sort((one, other) => one.seq - other.seq);
}

function failTask(state: RunState, event: EventOf<'task-failed'>, atMs: number): void {
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

function moveOn(
  state: RunState,
  branch: Branch,
  { next, data, atMs }: { next: Next; data: unknown; atMs: number },
): void {
  branch.task = undefined;
  branch.data = data;
  branch.next = next;
  if (next !== null) state.touched.add(branch);
  else endBranch(state, branch, { status: 'completed', output: data }, atMs);
}

function endBranch(state: RunState, branch: Branch, result: BranchOutcome['result'], atMs: number): void {
  const { owner, index, list } = branch;
  const { branches } = owner;
  state.lists.delete(branch.id);
  state.touched.delete(branch);
  owner.open.delete(branch.id);
  branches.open--;
  state.touched.add(owner);
  if (branch.undone !== undefined) return;
  const outcome: BranchOutcome = { index, list, endedAtMs: atMs, result };
  branches.last = outcome;
  if (result.status === 'failed') branches.failed = outcome;
  if (result.status !== 'completed') return;
  branches.completed++;
  branches.first ??= outcome;
  if (branch.isCollected) branches.outputs[index] = result.output;
}

/** `then: end`: whatever is open is over, and the run ends with this output. */
function endAll(state: RunState, output: unknown, atMs: number): void {
  const { root } = state;
  if (root === undefined) throw new Error('A task ended outside of a run');
  dropLists(state);
  const { branches } = root;
  const result = { status: 'completed', output } as const;
  branches.last = { index: 0, list: null, endedAtMs: atMs, result };
  branches.failed = undefined;
  branches.completed = branches.opened;
  state.touched.add(root);
}

/** Everything under the root is over. What its tasks kept to be undone is kept by the root. */
function dropLists(state: RunState): void {
  const { root } = state;
  if (root === undefined) return;
  const keepers = [...state.tasks.values()].filter(task => task.undoes && task !== root);
  for (const branch of root.open.values()) dropBranch(state, branch);
  for (const { compensations } of keepers) root.compensations = merge(root.compensations, compensations);
  root.branches.open = 0;
  state.touched.add(root);
}

function closeTask(state: RunState, task: OpenTask): void {
  state.tasks.delete(taskKey(task));
  state.touched.delete(task);
  forgetCalls(state, task);
  if (task.child !== undefined && state.children.delete(task.child.runId))
    state.orphans.push(task.child.runId);
  for (const branch of task.open.values()) dropBranch(state, branch);
}

function dropBranch(state: RunState, branch: Branch): void {
  state.lists.delete(branch.id);
  state.touched.delete(branch);
  branch.owner.open.delete(branch.id);
  if (branch.task !== undefined) closeTask(state, branch.task);
  // What was being undone is undone again from its beginning: half of it may be missing.
  if (branch.undone !== undefined) branch.owner.compensations.push(branch.undone);
}

function listOf(state: RunState, id: number): Branch {
  const branch = state.lists.get(id);
  if (branch === undefined) throw new Error(`List ${id} is not open`);
  return branch;
}

function countVisit(state: RunState, path: string, visit: number): void {
  state.visits.set(path, visit);
  state.steps++;
}

function end(state: RunState, status: RunStatus): void {
  state.status = status;
  state.root = undefined;
  state.failure = undefined;
  state.pause = undefined;
  state.parkedCalls = 0;
  state.orphans.push(...state.children.keys());
  state.children.clear();
  for (const each of [state.tasks, state.lists, state.mailbox, state.touched]) each.clear();
}
