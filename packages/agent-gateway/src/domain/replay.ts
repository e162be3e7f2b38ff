import { emptyRun } from './empty-run.ts';
import { apply, foldRecord } from './fold.ts';
import type { JournalRecord, RunEvent } from './run-events.ts';
import { type RunState, taskKey } from './run-state.ts';
import { takeUpTasks } from './take-up.ts';

type Rewound = Extract<RunEvent, { type: 'run-rewound' }>;

interface Effective {
  readonly record: JournalRecord;
  /** Of a `run-rewound`: the state that it put aside. */
  readonly aside?: RunState;
}

/** What a run began with from its thread. Whatever goes on with its records has to begin with it too. */
export function initialContext([created]: readonly Pick<JournalRecord, 'event'>[]): unknown {
  return created?.event.type === 'run-created' ? created.event.context : undefined;
}

/** Folds a whole journal. What a rewind put aside is history: it was paid for and counts, and is no part of the state. */
export function replay(records: Iterable<JournalRecord>): RunState {
  let state = emptyRun();
  let effective: Effective[] = [];
  for (const record of records) {
    const aside = state;
    apply(state, record);
    if (record.event.type !== 'run-rewound') {
      effective.push({ record });
      continue;
    }
    ({ state, effective } = foldUpTo(effective, record.event.to));
    effective.push({ record, aside });
    reopen(state, { record, aside });
  }
  return state;
}

/** Up to the record, and of what came later that which is not the rewound task's: messages, and calls of tasks that were open then. */
function foldUpTo(records: readonly Effective[], to: number): { state: RunState; effective: Effective[] } {
  const state = emptyRun();
  const effective: Effective[] = [];
  for (const each of records) {
    if (each.record.seq > to && !outlives(each.record.event, state)) continue;
    if (each.aside === undefined) foldRecord(state, each.record);
    else reopen(state, { record: each.record, aside: each.aside });
    effective.push(each);
  }
  return { state, effective };
}

function outlives(event: RunEvent, state: RunState): boolean {
  if (event.type === 'event-received' || event.type === 'run-forked' || event.type === 'run-imported')
    return true;
  return 'call' in event && state.tasks.has(taskKey(event));
}

/** What failed may be tried again, with as much time as it was first given. Visits and lists keep counting: their numbers are names. */
function reopen(state: RunState, { record, aside }: Required<Effective>): void {
  const { deadlineAtMs } = record.event as Rewound; // the only event with a state put aside
  Object.assign(state, {
    position: record.seq,
    status: 'running',
    pause: undefined,
    isCancelRequested: false,
    deadlineAtMs,
    limits: aside.limits,
    granted: aside.granted,
    // What it held went back to the tree when it ended.
    heldTasks: Number.isFinite(aside.heldTasks) ? 0 : aside.heldTasks,
    definition: aside.definition,
    workflow: aside.workflow,
    traceparent: aside.traceparent,
    isFirstOfTrace: aside.isFirstOfTrace,
    isStarted: aside.isStarted,
    lastBranch: aside.lastBranch,
    steps: aside.steps,
    recordedBytes: aside.recordedBytes,
    costNanoUsd: aside.costNanoUsd,
    unpricedCalls: aside.unpricedCalls,
    inputTokens: aside.inputTokens,
    outputTokens: aside.outputTokens,
  });
  for (const [path, visit] of aside.visits) if (path !== '') state.visits.set(path, visit);
  for (const type of aside.subscribed) state.subscribed.add(type);
  takeUpTasks(state, {
    atMs: record.atMs,
    isDropped: ({ status }) => status === 'failed' || status === 'held',
  });
}
