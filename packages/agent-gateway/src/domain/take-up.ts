import type { CallState } from './call-state.ts';
import type { RunState } from './run-state.ts';

/**
 * Makes the tasks that are open ready to go on, with as much time as they were first given. Runs that they wait for were called off
 * or belong to somebody else: they are started anew.
 */
export function takeUpTasks(
  state: RunState,
  { atMs, isDropped }: { readonly atMs: number; isDropped(call: CallState): boolean },
): void {
  state.children.clear();
  for (const task of state.tasks.values()) {
    if (task.child?.outcome?.status !== 'completed') task.child = undefined;
    if (task.deadlineAtMs !== undefined) task.deadlineAtMs = atMs + task.deadlineAtMs - task.startedAtMs;
    for (const [id, call] of task.calls) {
      if (!isDropped(call)) continue;
      task.calls.delete(id);
      state.parkedCalls -= Number(call.status === 'parked');
    }
    state.touched.add(task);
  }
  for (const list of state.lists.values()) state.touched.add(list);
}
