import { isDeepStrictEqual } from 'node:util';
import { emptyRun } from './empty-run.ts';
import { apply } from './fold.ts';
import { replay } from './replay.ts';
import type { RunError } from './run-error.ts';
import type { JournalRecord, RunEvent } from './run-events.ts';
import { type OpenTask, type RunState, taskKey } from './run-state.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

export type RewindTarget =
  | { readonly verb: 'retry' }
  /** To before the task began; its last visit unless one is named. */
  | { readonly verb: 'rewind'; readonly task: string; readonly visit: number | undefined };

export type RewindPlan =
  | { readonly to: number; readonly reopened: EventOf<'run-rewound'>['reopened'] }
  | { readonly refusal: 'task_not_found' | 'run_was_undone' };

/** Where a run that has ended goes on, and which of its tasks are open then. */
export function planRewind(records: readonly JournalRecord[], target: RewindTarget): RewindPlan {
  const to = target.verb === 'retry' ? beforeFailure(records) : beforeTask(records, target);
  if (to === undefined) return { refusal: 'task_not_found' };
  if (isUndone(records, to)) return { refusal: 'run_was_undone' };
  const { tasks } = replay(records.filter(({ seq }) => seq <= to));
  return { to, reopened: [...tasks.values()].map(({ path, visit }) => ({ path, visit })) };
}

function beforeTask(
  records: readonly JournalRecord[],
  { task, visit }: { readonly task: string; readonly visit: number | undefined },
): number | undefined {
  let begun: number[] = [];
  for (const { seq, event } of records) {
    // A visit that a rewind put aside is none to go back to.
    if (event.type === 'run-rewound') begun = begun.filter(each => each <= event.to);
    if (beginsTask(event) && event.path === task && event.visit === (visit ?? event.visit)) begun.push(seq);
  }
  const last = begun.at(-1);
  return last === undefined ? undefined : last - 1;
}

/** A task may also be passed over, or fail before it began. */
function beginsTask(event: RunEvent): event is EventOf<'task-started' | 'task-skipped' | 'task-failed'> {
  if (event.type === 'task-failed') return event.branch !== undefined;
  return event.type === 'task-started' || event.type === 'task-skipped';
}

interface Failure {
  readonly seq: number;
  readonly key: string;
  readonly owner: string | undefined;
  readonly error: RunError;
  /** Record before which the task is to be taken up again. */
  readonly to: number;
}

/** From the failure of the run down to the task that was its cause. */
function beforeFailure(records: readonly JournalRecord[]): number | undefined {
  const failures = readFailures(records);
  let cause = failures.findLast(({ owner }) => owner === undefined);
  for (let next = cause; next !== undefined; ) {
    const { seq, key, error }: Failure = next;
    next = failures.findLast(
      each => each.seq < seq && each.owner === key && isDeepStrictEqual(each.error, error),
    );
    cause = next ?? cause;
  }
  if (cause !== undefined) return cause.to;
  const ended = records.findLast(({ event }) => event.type === 'run-failed');
  return ended && ended.seq - 1;
}

function readFailures(records: readonly JournalRecord[]): Failure[] {
  let failures: Failure[] = [];
  const starts = new Map<string, number>();
  walk(records, ({ seq, event }, state) => {
    if (event.type === 'task-started') starts.set(taskKey(event), seq);
    if (event.type === 'run-rewound') failures = failures.filter(each => each.seq <= event.to);
    if (event.type !== 'task-failed') return;
    const key = taskKey(event);
    const task = state.tasks.get(key);
    const list = task?.branch ?? (event.branch === undefined ? undefined : state.lists.get(event.branch));
    const isOpen = task === undefined || canGoOn(task, event.error);
    failures.push({
      seq,
      key,
      owner: list && taskKey(list.owner),
      error: event.error,
      to: isOpen ? seq - 1 : (starts.get(key) ?? seq) - 1,
    });
  });
  return failures;
}

/** What it has of its own is kept, unless it would only fail again of it: then it begins anew. */
function canGoOn({ calls, child, branches }: OpenTask, error: RunError): boolean {
  if (branches.opened > 0 || error.reason === 'task_timeout') return true;
  if (child?.outcome !== undefined && child.outcome.status !== 'completed') return true;
  return [...calls.values()].some(({ status }) => status === 'failed');
}

/** Something that the run would take as done has been undone since. */
function isUndone(records: readonly JournalRecord[], to: number): boolean {
  let wasUndone = false;
  walk(records, ({ seq, event }, state) => {
    if (seq <= to || event.type !== 'branch-opened' || event.isCompensation !== true) return;
    const undone = state.tasks.get(taskKey(event))?.compensations.at(-1);
    wasUndone ||= undone !== undefined && undone.seq <= to;
  });
  return wasUndone;
}

/** Shows each record together with the state just before it. */
function walk(
  records: readonly JournalRecord[],
  look: (record: JournalRecord, before: RunState) => void,
): void {
  const seen: JournalRecord[] = [];
  let state = emptyRun();
  for (const record of records) {
    look(record, state);
    seen.push(record);
    if (record.event.type === 'run-rewound') state = replay(seen);
    else apply(state, record);
  }
}
