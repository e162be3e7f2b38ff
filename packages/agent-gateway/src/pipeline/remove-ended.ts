import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Approvals } from '../domain/approval.ts';
import type { HeldEvents, Journal } from '../domain/journal.ts';
import type { StoreItems } from '../domain/store-item.ts';
import type { Threads } from '../domain/thread.ts';
import { settleThreads } from './settle-thread.ts';

export interface RemovalDeps {
  readonly journal: Journal;
  readonly approvals: Pick<Approvals, 'over' | 'remove'>;
  readonly threads: Threads;
  readonly items: Pick<StoreItems, 'removeExpired'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
  /** How long a run stays after its end; undefined for ever. */
  readonly keepMs: () => number | undefined;
  /** Of published events, for each tenant. */
  readonly eventRoom: () => { readonly most: number; readonly mostBytes: number };
}

const lookEveryMs = 60_000;
/** Small, because whoever writes a run meanwhile waits for it. */
const batch = 20;
const eventBatch = 500;
const definitionBatch = 200;
/** A look goes through so many: more in an hour than people decide. */
const approvalBatch = 500;
/** A definition that is put and that no run names yet: its submission is on its way. */
const unusedDefinitionMs = 3_600_000;

/**
 * Removes runs that ended long enough ago, with their approvals; definitions that nothing names any more; and events that nobody can
 * listen to any more, or of which a tenant has more than it may. Every worker looks; they take turns, and what one removes another does not find.
 */
export function startRemoval(deps: RemovalDeps): { stop(): Promise<void> } {
  const stopped = new AbortController();
  let timer: Scheduled | undefined;
  let looking: Promise<void> = Promise.resolve();
  let lastApproval = '';
  const look = () => {
    const nowMs = deps.clock.now(); // what ends while threads are settled is for the next look
    looking = settleThreads(deps, stopped.signal)
      .then(() => removeEnded(deps, { nowMs, signal: stopped.signal }))
      .then(async () => {
        lastApproval = await removeApprovals(deps, lastApproval);
      })
      .catch((error: unknown) => deps.log.warn({ err: error }, 'what is old could not be removed and waits'))
      .finally(() => {
        if (!stopped.signal.aborted) timer = deps.clock.schedule(lookEveryMs, look);
      });
  };
  look();
  return {
    async stop() {
      stopped.abort();
      timer?.cancel();
      await looking;
    },
  };
}

/** Batch after batch, until none is left that is old enough. */
async function removeEnded(
  { journal, items, keepMs, eventRoom }: RemovalDeps,
  { nowMs, signal }: { readonly nowMs: number; readonly signal: AbortSignal },
): Promise<void> {
  let removed = batch;
  while (removed === batch && !signal.aborted)
    removed = await journal.removeEnded({ beforeMs: nowMs, limit: batch, isOwn: true });
  const kept = keepMs();
  if (kept !== undefined) {
    const beforeMs = nowMs - kept;
    removed = batch;
    while (removed === batch && !signal.aborted)
      removed = await journal.removeEnded({ beforeMs, limit: batch });
  }
  removed = eventBatch;
  while (removed === eventBatch && !signal.aborted)
    removed = await items.removeExpired({ nowMs, limit: eventBatch });
  let tenant = await journal.nextPublisher('');
  while (tenant !== undefined && !signal.aborted) {
    const beforeMs = kept === undefined ? undefined : nowMs - kept;
    await removeEvents(journal, { tenant, beforeMs, room: eventRoom(), signal });
    tenant = await journal.nextPublisher(tenant);
  }
  await removeDefinitions(journal, { beforeMs: nowMs - unusedDefinitionMs, signal });
}

/** Of a tenant, those that are too old and those that are too many. */
async function removeEvents(
  journal: Pick<Journal, 'removeEvents' | 'trimEvents'>,
  of: {
    readonly tenant: string;
    readonly beforeMs: number | undefined;
    readonly room: ReturnType<RemovalDeps['eventRoom']>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { tenant, beforeMs, room, signal } = of;
  let removed = beforeMs === undefined ? 0 : eventBatch;
  while (beforeMs !== undefined && removed === eventBatch && !signal.aborted)
    removed = await journal.removeEvents({ tenant, beforeMs, limit: eventBatch });
  let held: HeldEvents | undefined;
  do held = await journal.trimEvents({ tenant, ...room, limit: eventBatch, held });
  while (held !== undefined && !signal.aborted);
}

async function removeDefinitions(
  journal: Pick<Journal, 'removeDefinitions'>,
  { beforeMs, signal }: { readonly beforeMs: number; readonly signal: AbortSignal },
): Promise<void> {
  let after: string | undefined = '';
  while (after !== undefined && !signal.aborted)
    after = await journal.removeDefinitions({ beforeMs, after, limit: definitionBatch });
}

/** Of runs that are gone. Gives the last that was looked at; what is behind it is for the next look. */
async function removeApprovals({ approvals, journal, clock }: RemovalDeps, after: string): Promise<string> {
  const over = await approvals.over({ beforeMs: clock.now(), after, limit: approvalBatch });
  const gone: string[] = [];
  for (const { id, tenant, runId } of over)
    if ((await journal.getRun(tenant, runId)) === undefined) gone.push(id);
  await approvals.remove(gone);
  return over.length < approvalBatch ? '' : (over.at(-1)?.id ?? '');
}
