import { notUnderstood } from './journal-errors.ts';
import type { RunState } from './run-state.ts';
import type { TaskTypes } from './task-type.ts';
import type { Workflow } from './workflow.ts';

/**
 * Every place where the run stands is one of its definition, of a type that is known here. Looked at before anything is done with it, so
 * that a run is gone on with as it was begun or not at all (AG-3).
 *
 * @throws GatewayError internal (`run_not_understood`).
 */
export function requireUnderstood(
  { tasks, lists }: Pick<RunState, 'tasks' | 'lists'>,
  { workflow, types }: { workflow: Workflow; types: TaskTypes },
): void {
  for (const { path } of tasks.values()) requirePlace(path, { workflow, types });
  for (const { next, task } of lists.values())
    if (task === undefined && next?.startsWith('/')) requirePlace(next, { workflow, types });
}

function requirePlace(path: string, { workflow, types }: { workflow: Workflow; types: TaskTypes }): void {
  const node = workflow.tasks.get(path);
  if (node === undefined) throw notUnderstood(`The definition has no task '${path}', where the run stands.`);
  if (!types.has(node.type)) throw notUnderstood(`This release has no tasks of the type '${node.type}'.`);
}
