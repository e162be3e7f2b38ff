import { releaseHeldCalls } from './fold-calls.ts';
import { firstTasks } from './live-tasks.ts';
import type { RunEvent } from './run-events.ts';
import { openTask, type RunState, type RunStatus } from './run-state.ts';
import type { GrantedLimits, RunLimits } from './run-terms.ts';
import { takeUpTasks } from './take-up.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** A task that waited for money or for a limit has as much time left as when its run was paused. */
export function resume(state: RunState, event: EventOf<'run-resumed'>, atMs: number): void {
  const pausedMs = state.pause?.error === undefined ? 0 : atMs - state.pause.atMs;
  state.pause = undefined;
  // What was granted before a run was taken in here, its first record says as far as it counts here.
  if (state.position > state.forkedTo)
    state.granted = { ...state.granted, ...(event.granted ?? raised(state.limits, event.limits)) };
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

/** Records from before what was granted was named have only the limits that it made. */
function raised(before: RunLimits, after: RunLimits = before): GrantedLimits {
  const { maxValueBytes: _, ...limits } = after;
  return Object.fromEntries(
    Object.entries(limits).filter(([key, value]) => value !== before[key as keyof RunLimits]),
  );
}

/** What was under way belongs to the other run, as what it cost does; what it had recorded is this run's too. */
export function fork(state: RunState, event: EventOf<'run-forked'>, atMs: number): void {
  const { traceparent, isFirstOfTrace = false, limits, deadlineAtMs } = event;
  Object.assign(state, {
    traceparent,
    isFirstOfTrace,
    limits,
    deadlineAtMs,
    status: 'pending',
    isStarted: false,
  });
  state.keyRun = undefined;
  state.rootRun = undefined;
  state.granted = {};
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
export function importRun(state: RunState, event: EventOf<'run-imported'>): void {
  const { traceparent, isFirstOfTrace = false, limits, deadlineAtMs, keyRun, children, asked } = event;
  Object.assign(state, { traceparent, isFirstOfTrace, limits, deadlineAtMs, keyRun, isStarted: false });
  state.heldTasks = event.heldTasks ?? firstTasks(limits) ?? Number.POSITIVE_INFINITY;
  for (const [before, runId] of Object.entries(children)) {
    const task = state.children.get(before);
    if (task === undefined) continue;
    state.children.delete(before);
    state.children.set(runId, task);
    task.child = { ...task.child, runId, outcome: undefined };
  }
  for (const of of asked)
    for (const call of ['ask', 'escalate', 'expire']) openTask(state, of).calls.delete(call);
  state.subscribed.clear();
  for (const unit of [...state.tasks.values(), ...state.lists.values()]) state.touched.add(unit);
}

export function migrate(state: RunState, event: EventOf<'run-migrated'>): void {
  // The definition of a fork is its own, whatever the other run did.
  if (state.position <= state.forkedTo) return;
  const { definition, workflow, limits = state.limits, deadlineAtMs = state.deadlineAtMs } = event;
  Object.assign(state, { definition, workflow, limits, deadlineAtMs });
}

export function createRun(state: RunState, event: EventOf<'run-created'>, atMs: number): void {
  state.workflow = event.workflow;
  state.definition = event.definition;
  state.forkedTo = event.fork?.to ?? event.imported?.to ?? 0;
  state.input = event.input;
  state.context = event.context ?? null;
  state.identity = event.identity;
  state.limits = event.limits;
  state.lowered = event.lowered;
  state.granted = event.granted ?? {};
  state.createdAtMs = atMs;
  state.deadlineAtMs = event.deadlineAtMs;
  state.expiresAtMs = event.expiresAtMs ?? Number.POSITIVE_INFINITY;
  state.traceparent = event.traceparent;
  state.isFirstOfTrace = event.isFirstOfTrace ?? false;
  state.parent = event.parent;
  state.queue = event.queue;
  state.queuesAround = event.queuesAround ?? [];
  state.rootRun = event.rootRun;
  state.heldTasks = event.heldTasks ?? Number.POSITIVE_INFINITY;
}

export function end(state: RunState, status: RunStatus): void {
  state.status = status;
  state.root = undefined;
  state.failure = undefined;
  state.pause = undefined;
  state.parkedCalls = 0;
  state.orphans.push(...state.children.keys());
  state.children.clear();
  for (const each of [state.tasks, state.lists, state.mailbox, state.touched]) each.clear();
}
