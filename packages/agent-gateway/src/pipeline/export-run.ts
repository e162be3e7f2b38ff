import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { RunRequest } from '../domain/append.ts';
import type { Journal, RunSummary } from '../domain/journal.ts';
import { replay } from '../domain/replay.ts';
import type { JournalRecord } from '../domain/run-events.ts';
import {
  carriedRequests,
  digestOfExport,
  type ExportedRun,
  type RunExport,
  redact,
} from '../domain/run-export.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import { awaitRecords } from './await-run.ts';
import { readRecords } from './read-records.ts';

export interface ExportDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly onAsked: (runId: string) => void;
  readonly maxExportBytes: number;
}

/** How long one run may take to be let go of. */
const moveWaitMs = 10_000;

/**
 * Ends a run here, and those that it waits for, so that they go on where this is imported, and nowhere else. Asked again it gives the
 * same once more.
 *
 * @throws GatewayError conflict (`run_has_ended`, `run_has_parent`, `run_is_busy`), too_large (`run_export_too_large`).
 */
export async function moveRun(
  run: RunSummary,
  { by, signal }: { by: string; signal: AbortSignal },
  deps: ExportDeps,
): Promise<RunExport> {
  const state = replay(await readRecords(run.id, deps.journal));
  if (state.parent !== undefined)
    throw new GatewayError('conflict', `The run ${state.parent} waits for this one: export that.`, {
      reason: 'run_has_parent',
    });
  requireNoEnd(run);
  if (run.status !== 'moved') await requireFits(run, deps);
  const moved = await moveTree(run, { by, signal }, deps);
  const [first = run] = moved;
  requireNoEnd(first); // it may have ended before it was let go of
  return describe(moved, { kind: 'moved', isRedacted: false, run: first }, deps);
}

function requireNoEnd({ status }: RunSummary): void {
  if (!terminalStatuses.has(status) || status === 'moved') return;
  throw new GatewayError('conflict', `The run has ended; it is ${status}.`, { reason: 'run_has_ended' });
}

/** What is recorded of a run and of those that it waits for, to be read. Nothing happens to them. */
export async function copyRun(run: RunSummary, isRedacted: boolean, deps: ExportDeps): Promise<RunExport> {
  const state = replay(await readRecords(run.id, deps.journal));
  const children = await Promise.all(
    [...state.children.keys()].map(id => deps.journal.getRun(run.tenant, id)),
  );
  const all = [run, ...children.filter(each => each !== undefined)];
  return describe(all, { kind: 'copy', isRedacted, run }, deps);
}

/** What surrounds a record in an export, and what is recorded while it is let go of. */
const recordOverhead = 60;
const lastRecords = 4096;

/** A run whose export nobody takes in would go on nowhere. */
async function requireFits(run: RunSummary, deps: ExportDeps): Promise<void> {
  const size = await sizeOfTree(run, deps);
  if (size <= deps.maxExportBytes) return;
  throw new GatewayError(
    'too_large',
    `The export would have some ${size} bytes; ${deps.maxExportBytes} are taken in. The run stays here.`,
    { reason: 'run_export_too_large' },
  );
}

async function sizeOfTree(run: RunSummary, deps: ExportDeps): Promise<number> {
  const { journal } = deps;
  const records = await readRecords(run.id, journal);
  const definition = await journal.getDefinition(run.definition);
  // As text in a document it is quoted.
  let size = lastRecords + JSON.stringify(definition?.document ?? '').length;
  for (const { bytes } of records) size += bytes + recordOverhead;
  for (const { payload } of await journal.requests(run.id))
    size += (JSON.stringify(payload)?.length ?? 0) + recordOverhead;
  for (const id of replay(records).children.keys()) {
    const child = await journal.getRun(run.tenant, id);
    if (child !== undefined) size += await sizeOfTree(child, deps);
  }
  return size;
}

async function moveTree(
  run: RunSummary,
  asked: { by: string; signal: AbortSignal },
  deps: ExportDeps,
): Promise<RunSummary[]> {
  const moved = terminalStatuses.has(run.status) ? run : await move(run, asked, deps);
  if (moved.status !== 'moved') return [moved];
  const { children } = replay((await readRecords(run.id, deps.journal)).slice(0, -1));
  const all = [moved];
  for (const id of children.keys()) {
    const child = await deps.journal.getRun(run.tenant, id);
    if (child !== undefined) all.push(...(await moveTree(child, asked, deps)));
  }
  return all;
}

async function move(
  run: RunSummary,
  { by, signal }: { by: string; signal: AbortSignal },
  { journal, clock, onAsked }: ExportDeps,
): Promise<RunSummary> {
  await journal.request(run.tenant, run.id, { kind: 'export', payload: {}, by, atMs: clock.now() });
  onAsked(run.id);
  const untilMs = clock.monotonic() + moveWaitMs;
  for (;;) {
    const leftMs = untilMs - clock.monotonic();
    const news = awaitRecords(run.id, { journal, clock, signal, maxMs: Math.max(0, leftMs) });
    // What was answered can be seen in the run, if the run is read after.
    const isAsked = (await journal.requests(run.id)).some(({ kind }) => kind === 'export');
    const current = await journal.getRun(run.tenant, run.id);
    if (current !== undefined && terminalStatuses.has(current.status)) {
      news.close();
      return current;
    }
    if (!isAsked || leftMs <= 0 || signal.aborted) {
      news.close();
      throw new GatewayError(
        'conflict',
        `Calls of the run ${run.id} are under way. Pause it, and ask again.`,
        {
          reason: 'run_is_busy',
        },
      );
    }
    await news.heard;
    news.close();
  }
}

async function describe(
  runs: readonly RunSummary[],
  { kind, isRedacted, run }: { kind: RunExport['kind']; isRedacted: boolean; run: RunSummary },
  { journal }: ExportDeps,
): Promise<RunExport> {
  const definitions: Record<string, string> = {};
  for (const { definition } of runs) {
    const stored = await journal.getDefinition(definition);
    if (stored !== undefined) definitions[definition] = stored.document;
  }
  const exported = await Promise.all(runs.map(each => describeRun(each, isRedacted, journal)));
  const rest = {
    format: 'strata-run-export/1' as const,
    tenant: run.tenant,
    exported_at: new Date(run.updatedAtMs).toISOString(),
    kind,
    redacted: isRedacted,
    definitions: isRedacted ? {} : definitions,
    runs: exported,
  };
  const plain = JSON.parse(JSON.stringify(rest)) as typeof rest; // as it will be read
  return { ...plain, digest: digestOfExport(plain) };
}

/** A run as an export has it. */
export async function describeRun(
  run: RunSummary,
  isRedacted: boolean,
  journal: Journal,
): Promise<ExportedRun> {
  const { id, namespace, name, version, definition } = run;
  const records = await readRecords(id, journal);
  const requests = isRedacted ? [] : await journal.requests(id);
  return {
    id,
    namespace,
    name,
    version,
    definition,
    records: records.map(record => describeRecord(record, isRedacted)),
    requests: requests.flatMap(({ kind, payload, by }) => (isCarried(kind) ? [{ kind, payload, by }] : [])),
  };
}

/** What is between runs, and what was asked of this store, stays. */
function isCarried(kind: RunRequest['kind']): kind is ExportedRun['requests'][number]['kind'] {
  return carriedRequests.some(each => each === kind);
}

function describeRecord({ seq, atMs, event }: JournalRecord, isRedacted: boolean) {
  return { seq, at_ms: atMs, event: isRedacted ? redact(event) : { ...event } };
}
