import { isDeepStrictEqual } from 'node:util';
import { replay } from './replay.ts';
import type { JournalRecord, RunEvent } from './run-events.ts';
import { taskKey } from './run-state.ts';
import { type Next, nextOf, type TaskNode, type Workflow } from './workflow.ts';

/** The first place where what a run has recorded is not what another definition would have done. */
export interface Divergence {
  readonly task: string;
  readonly visit: number | undefined;
  /** Number of the record. */
  readonly seq: number;
  readonly detail: string;
}

export interface Migration {
  readonly from: Workflow;
  readonly to: Workflow;
}

/**
 * Whether a run can go on under another definition. Every task that it has come to must stand in the same place there, be of the same
 * kind and be followed by the same task; what a finished task was asked may differ, what an open one is asked may not.
 */
export function findDivergence(
  records: readonly JournalRecord[],
  migration: Migration,
): Divergence | undefined {
  const state = replay(records);
  const isOpen = (of: { path: string; visit: number }) => state.tasks.has(taskKey(of));
  for (const { seq, event } of effective(records)) {
    const detail = problemOf(event, migration, isOpen);
    if (detail !== undefined) return { ...placeOf(event), seq, detail };
  }
  for (const { next, owner } of state.lists.values()) {
    if (isThere(next, migration.to)) continue;
    const { path, visit } = owner;
    return { task: path, visit, seq: state.position, detail: `It goes on at '${next}', which is not there.` };
  }
  return undefined;
}

/** What a rewind put aside is no part of the run. */
function effective(records: readonly JournalRecord[]): JournalRecord[] {
  let kept: JournalRecord[] = [];
  for (const record of records) {
    const { event } = record;
    if (event.type === 'run-rewound') kept = kept.filter(({ seq }) => seq <= event.to);
    else kept.push(record);
  }
  return kept;
}

function placeOf(event: RunEvent): { task: string; visit: number | undefined } {
  return 'path' in event ? { task: event.path, visit: event.visit } : { task: '', visit: undefined };
}

function problemOf(
  event: RunEvent,
  { from, to }: Migration,
  isOpen: (of: { path: string; visit: number }) => boolean,
): string | undefined {
  if (!('path' in event)) return undefined;
  const [before, after] = [from.tasks.get(event.path), to.tasks.get(event.path)];
  if (before === undefined || after === undefined) return 'There is no such task.';
  if (before.type !== after.type) return `It is '${after.type}' there, and was '${before.type}'.`;
  switch (event.type) {
    case 'task-started':
      if ((event.first ?? null) !== (after.first ?? null))
        return `Its list begins with '${after.first}' there.`;
      return isOpen(event) && !isDeepStrictEqual(before.options, after.options)
        ? 'It is under way, and is defined otherwise there.'
        : undefined;
    case 'task-skipped':
      return flowProblem({ before, after }, event.next);
    case 'task-completed': {
      const { compensation, next } = event;
      if (compensation !== undefined && !isThere(compensation.first, to))
        return 'What undoes it is not there.';
      return flowProblem({ before, after }, next);
    }
    case 'branch-opened':
    case 'branch-refused':
      return isThere(event.first, to) ? undefined : `Its list '${event.first}' is not there.`;
    default:
      return undefined;
  }
}

/** Where the run went on after the task. A task that chose by itself, a `switch`, has to choose by the same rules there. */
function flowProblem(
  { before, after }: { readonly before: TaskNode; readonly after: TaskNode },
  next: Next,
): string | undefined {
  const hasChosen = nextOf(before, before.directive) !== next;
  if (hasChosen && isDeepStrictEqual(before.options, after.options)) return undefined;
  const expected = nextOf(after, after.directive);
  if (!hasChosen && expected === next) return undefined;
  return `The run went on ${nameOf(next)}; there it would go on ${nameOf(expected)}.`;
}

const nameOf = (next: Next) => (next === null ? 'at the end of the list' : `at '${next}'`);

function isThere(next: Next, { tasks }: Workflow): boolean {
  return next === null || next === 'end' || tasks.has(next);
}
