import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { RunSummary } from '../domain/journal.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import { TimelineReader, type TimelineSpan } from '../domain/timeline.ts';
import type { ApiDeps } from './api-deps.ts';
import { findRun, maySee } from './find-run.ts';

const caller = { config: { access: 'caller' } } as const;
const pageSize = 1000;
const maxSpans = 20_000;

interface WithId {
  Params: { id: string };
}

/** What became of a run, read from its journal: `/timeline`, `/tasks`, `/cost`. */
export function addTimelineRoutes(app: FastifyInstance, deps: ApiDeps): void {
  app.get<WithId>('/v1/runs/:id/timeline', caller, async request => {
    const { run, spans, isCut } = await readTimeline(request, deps);
    return { run: run.id, status: run.status, spans: spans.map(show), ...(isCut && { cut: true }) };
  });

  app.get<WithId>('/v1/runs/:id/tasks', caller, async request => {
    const { run, spans, isCut } = await readTimeline(request, deps);
    const tasks = spans.filter(span => span.kind === 'task').map(show);
    return { run: run.id, tasks, ...(isCut && { cut: true }) };
  });

  app.get<WithId>('/v1/runs/:id/cost', caller, async request => {
    const { run, spans, isCut } = await readTimeline(request, deps);
    const comparison = await compareFork(request, run, deps);
    return {
      run: run.id,
      nano_usd: run.costNanoUsd.toString(),
      unpriced_calls: run.unpricedCalls,
      usage: { input_tokens: run.inputTokens, output_tokens: run.outputTokens },
      tasks: costOfTasks(spans),
      ...(comparison !== undefined && { forked_from: comparison }),
      ...(isCut && { cut: true }),
    };
  });
}

async function readTimeline(request: FastifyRequest<WithId>, { journal }: ApiDeps) {
  const run = await findRun(request.caller, request.params.id, journal);
  const reader = new TimelineReader({ maxSpans });
  let position = 0;
  for (;;) {
    const page: readonly JournalRecord[] = await journal.read(run.id, position, pageSize);
    for (const record of page) reader.read(record);
    position = page.at(-1)?.seq ?? position;
    if (page.length < pageSize || reader.timeline.isCut) break;
  }
  const { spans, isCut } = reader.timeline;
  return { run, spans: [...spans.values()], isCut };
}

/** Against what the other run has spent since: nothing of that when it is gone, or not to be seen. */
async function compareFork({ caller: asker }: FastifyRequest, run: RunSummary, { journal }: ApiDeps) {
  const [created] = await journal.read(run.id, 0, 1);
  const fork = created?.event.type === 'run-created' ? created.event.fork : undefined;
  if (fork === undefined) return undefined;
  const kept = { run: fork.run, task: fork.task, kept_nano_usd: fork.keptNanoUsd };
  const other = await journal.getRun(run.tenant, fork.run);
  if (other === undefined || !maySee(asker, other)) return kept;
  const spentSince = other.costNanoUsd - BigInt(fork.keptNanoUsd);
  return {
    ...kept,
    spent_since_nano_usd: spentSince.toString(),
    difference_nano_usd: (run.costNanoUsd - spentSince).toString(),
  };
}

/** By path: every visit of a task, and every call of it, together. */
function costOfTasks(spans: readonly TimelineSpan[]) {
  const sums = new Map<
    string,
    { nanoUsd: bigint; calls: number; unpriced: number; input: number; output: number }
  >();
  for (const span of spans) {
    if (span.isKept || span.kind === 'task' || span.parent === undefined || span.status !== 'completed')
      continue;
    const path = span.parent.slice(0, span.parent.lastIndexOf('#'));
    const sum = sums.get(path) ?? { nanoUsd: 0n, calls: 0, unpriced: 0, input: 0, output: 0 };
    sums.set(path, {
      nanoUsd: sum.nanoUsd + (span.costNanoUsd ?? 0n),
      calls: sum.calls + 1,
      unpriced: sum.unpriced + (span.kind === 'model' && span.costNanoUsd === undefined ? 1 : 0),
      input: sum.input + (span.usage?.inputTokens ?? 0),
      output: sum.output + (span.usage?.outputTokens ?? 0),
    });
  }
  return [...sums].map(([task, { nanoUsd, calls, unpriced, input, output }]) => ({
    task,
    calls,
    nano_usd: nanoUsd.toString(),
    unpriced_calls: unpriced,
    usage: { input_tokens: input, output_tokens: output },
  }));
}

function show(span: TimelineSpan) {
  const { id, parent, kind, name, startedAtMs, endedAtMs, status, attempts, costNanoUsd, usage, error } =
    span;
  return {
    id,
    parent,
    kind,
    name,
    status,
    started_at: new Date(startedAtMs).toISOString(),
    ended_at: endedAtMs === undefined ? undefined : new Date(endedAtMs).toISOString(),
    duration_ms: endedAtMs === undefined ? undefined : endedAtMs - startedAtMs,
    ...(kind !== 'task' && { attempts }),
    ...(costNanoUsd !== undefined && { cost_nano_usd: costNanoUsd.toString() }),
    ...(usage !== undefined && {
      usage: { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens },
    }),
    ...(error !== undefined && { error }),
    ...(span.isKept && { kept: true }),
  };
}
