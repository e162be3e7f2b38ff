import type { RunSummary } from '../domain/journal.ts';
import type { NotUndone } from '../domain/run-error.ts';
import type { JournalRecord, RunEvent } from '../domain/run-events.ts';
import type { RunState } from '../domain/run-state.ts';

/** A run as the API shows it in lists. */
export function showSummary(run: RunSummary) {
  return {
    id: run.id,
    status: run.status,
    workflow: {
      namespace: run.namespace,
      name: run.name,
      version: run.version,
      definition: run.definition,
    },
    principal: run.principal,
    created_at: iso(run.createdAtMs),
    updated_at: iso(run.updatedAtMs),
    ended_at: iso(run.endedAtMs),
    wake_at: run.status === 'waiting' ? iso(run.wakeAtMs) : undefined,
    cost: { nano_usd: run.costNanoUsd.toString(), unpriced_calls: run.unpricedCalls },
    usage: { input_tokens: run.inputTokens, output_tokens: run.outputTokens },
    priority: run.priority,
    ...(run.queue !== undefined && { queue: { name: run.queue, waiting: run.isQueued } }),
    trace_id: run.traceId,
    events: run.position,
  };
}

/** A run with what went in, what came out, and how long it took. */
export function showRun(
  run: RunSummary,
  records: { first: readonly JournalRecord[]; last: JournalRecord | undefined },
) {
  const created = eventOf(records.first, 'run-created');
  const fork = created?.fork;
  // The records of a fork begin with those of another run.
  const started = records.first.find(record => fork === undefined && record.event.type === 'run-started');
  const startedAtMs = started?.atMs;
  const last = records.last?.event;
  return {
    ...showSummary(run),
    ...(created?.thread !== undefined && { thread: created.thread }),
    input: created?.input,
    ...(fork !== undefined && {
      forked_from: {
        run: fork.run,
        task: fork.task,
        events: fork.to,
        kept_cost: { nano_usd: fork.keptNanoUsd },
      },
    }),
    ...(last?.type === 'run-completed' && { output: last.output }),
    ...(last?.type === 'run-failed' && { error: last.error }),
    ...(last !== undefined &&
      'notUndone' in last &&
      last.notUndone !== undefined && { not_undone: showNotUndone(last.notUndone) }),
    timings: {
      started_at: iso(startedAtMs),
      queued_ms: startedAtMs === undefined ? undefined : startedAtMs - run.createdAtMs,
      duration_ms: run.endedAtMs === undefined ? undefined : run.endedAtMs - run.createdAtMs,
    },
  };
}

/** Calls that wait for somebody to say what became of them. */
export function showInDoubt(state: RunState) {
  return [...state.tasks.values()].flatMap(({ path, visit, calls, arguments: prepared }) =>
    [...calls]
      .filter(([, call]) => call.status === 'parked')
      .map(([call]) => ({ task: path, visit, call, arguments: prepared })),
  );
}

const showNotUndone = (notUndone: readonly NotUndone[]) =>
  notUndone.map(({ path, error }) => ({ task: path, error }));

/** Why a run is paused, and by whom. */
export function showPause({ pause }: RunState) {
  return pause && { by: pause.by, at: iso(pause.atMs), error: pause.error };
}

/** A record of the journal as the event stream shows it. */
export function showRecord({ seq, atMs, event }: JournalRecord): Record<string, unknown> {
  return { seq, at: iso(atMs), ...showEvent(event) };
}

function showEvent(event: RunEvent): Record<string, unknown> {
  if (event.type === 'run-created') {
    const { type, workflow, definition, input, identity, deadlineAtMs } = event;
    return {
      type,
      workflow,
      definition,
      input,
      principal: identity.principal,
      deadline_at: iso(deadlineAtMs),
    };
  }
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(event)) shown[names[key] ?? key] = values[key]?.(value) ?? value;
  return shown;
}

/** Keys that are called otherwise outside. What a user's data holds is never touched. */
const names: Readonly<Record<string, string>> = {
  path: 'task',
  costNanoUsd: 'cost_nano_usd',
  retryAtMs: 'retry_at',
  deadlineAtMs: 'deadline_at',
  notUndone: 'not_undone',
};

const values: Readonly<Record<string, (value: unknown) => unknown>> = {
  retryAtMs: value => iso(Number(value)),
  deadlineAtMs: value => iso(Number(value)),
  notUndone: value => showNotUndone(value as readonly NotUndone[]), // of the end of a run
  usage: value => {
    const { inputTokens, outputTokens } = value as { inputTokens: number; outputTokens: number }; // of `call-completed`
    return { input_tokens: inputTokens, output_tokens: outputTokens };
  },
};

function eventOf<Type extends RunEvent['type']>(records: readonly JournalRecord[], type: Type) {
  const found = records.find(record => record.event.type === type)?.event;
  return found as Extract<RunEvent, { type: Type }> | undefined; // just compared
}

function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
