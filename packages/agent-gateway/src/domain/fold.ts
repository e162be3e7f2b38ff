import { applyCall } from './fold-calls.ts';
import { dropLists, lastOutput, openBranch } from './fold-lists.ts';
import { applyChild, applyMail } from './fold-mail.ts';
import { createRun, end, fork, importRun, migrate, resume } from './fold-runs.ts';
import { completeTask, failTask, skipTask, startTask } from './fold-tasks.ts';
import { corruptJournal, notUnderstood } from './journal-errors.ts';
import type { JournalRecord, RunEvent } from './run-events.ts';
import { openTask, type RunState } from './run-state.ts';

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** Folds one more record into the state, at a cost that does not grow with what is folded already. */
export function apply(state: RunState, record: JournalRecord): void {
  if (record.seq !== state.position + 1)
    throw corruptJournal(`Journal gap: expected ${state.position + 1}, found ${record.seq}`);
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
      migrate(state, event);
      return;
    default:
      throw notUnderstood(`This release does not know records of the type '${kindOf(event)}'.`);
  }
}

/** A newer release may have written it. */
const kindOf = (event: never) => (event as RunEvent).type;
