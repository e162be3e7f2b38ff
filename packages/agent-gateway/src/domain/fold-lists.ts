import { forgetCalls } from './fold-calls.ts';
import { corruptJournal } from './journal-errors.ts';
import type { RunError } from './run-error.ts';
import type { RunEvent } from './run-events.ts';
import {
  type Branch,
  type BranchOutcome,
  type Compensation,
  type OpenTask,
  openTask,
  type RunState,
  taskKey,
} from './run-state.ts';
import type { Next } from './workflow.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

export function openBranch(state: RunState, event: EventOf<'branch-opened'>, atMs: number): void {
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

export function addBranch(
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
  if (made.id !== state.lastBranch + 1)
    throw corruptJournal(`List ${made.id} follows list ${state.lastBranch}`);
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

export function moveOn(
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

export function endBranch(
  state: RunState,
  branch: Branch,
  result: BranchOutcome['result'],
  atMs: number,
): void {
  const { owner, index, list } = branch;
  const { branches } = owner;
  state.lists.delete(branch.id);
  state.touched.delete(branch);
  owner.open.delete(branch.id);
  branches.open--;
  state.touched.add(owner);
  if (branch.undone !== undefined) {
    if (result.status === 'failed') keepNotUndone(state, branch.undone, result.error);
    return;
  }
  const outcome: BranchOutcome = { index, list, endedAtMs: atMs, result };
  branches.last = outcome;
  if (result.status === 'failed') branches.failed = outcome;
  if (result.status !== 'completed') return;
  branches.completed++;
  branches.first ??= outcome;
  if (branch.isCollected) branches.outputs[index] = result.output;
}

const mostNotUndone = 100;

/** The others are undone all the same; this one is told with the end of the run. */
function keepNotUndone({ notUndone }: RunState, { first }: Compensation, error: RunError): void {
  const path = first?.slice(0, first.lastIndexOf('/metadata/gateway/compensate/')) ?? '';
  if (notUndone.length < mostNotUndone) notUndone.push({ path, error });
}

/** `then: end`: whatever is open is over, and the run ends with this output. */
export function endAll(state: RunState, output: unknown, atMs: number): void {
  const { root } = state;
  if (root === undefined) throw corruptJournal('A task ended outside of a run');
  dropLists(state);
  const { branches } = root;
  const result = { status: 'completed', output } as const;
  branches.last = { index: 0, list: null, endedAtMs: atMs, result };
  branches.failed = undefined;
  branches.completed = branches.opened;
  state.touched.add(root);
}

/** Everything under the root is over. What its tasks kept to be undone is kept by the root. */
export function dropLists(state: RunState): void {
  const { root } = state;
  if (root === undefined) return;
  const keepers = [...state.tasks.values()].filter(task => task.undoes && task !== root);
  for (const branch of root.open.values()) dropBranch(state, branch);
  for (const { compensations } of keepers) root.compensations = merge(root.compensations, compensations);
  root.branches.open = 0;
  state.touched.add(root);
}

export function closeTask(state: RunState, task: OpenTask): void {
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

export function listOf(state: RunState, id: number): Branch {
  const branch = state.lists.get(id);
  if (branch === undefined) throw corruptJournal(`List ${id} is not open`);
  return branch;
}

/** Both lists are in order of age. */
export function merge(left: readonly Compensation[], right: readonly Compensation[]): Compensation[] {
  return [...left, ...right].sort((one, other) => one.seq - other.seq);
}
