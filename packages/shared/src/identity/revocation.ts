import { setImmediate as afterMicrotasks } from 'node:timers/promises';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Caller } from './caller.ts';
import type { CredentialDirectory } from './credential-directory.ts';
import { envelopeLifetimeMs } from './envelope.ts';
import { type IdentityChange, type IdentityWriter, writeChange } from './identity-changes.ts';
import type { IdentitySchema } from './identity-schema.ts';
import type { IdentityWatch } from './identity-watch.ts';
import type { LiveCaller, LiveCalls } from './live-calls.ts';

/** Stops what goes on for a run: in this process and, within a second, in every other. */
export type CancelRun = (run: { readonly tenant: string; readonly runId: string }) => Promise<void>;

/** Writes the cancellation where every process follows it. */
export function createCancelRun(writer: IdentityWriter): CancelRun {
  return ({ tenant, runId }) =>
    writeChange(writer, async () => ({ result: undefined, changed: [{ tenant, kind: 'run', id: runId }] }));
}

export interface Revocation {
  /** Whether calls for this run are refused. */
  isRunCancelled(tenant: string, runId: string): boolean;
  close(): void;
}

/** Longer than any envelope of the run can live: after it no call of the run can come any more. */
const rememberRunMs = envelopeLifetimeMs + 60_000;
/** Ends that come with time are looked for this often, as is what could not be looked up before. */
const sweepMs = 500;

/**
 * Stops calls that are under way when their key, their principal or anything above is disabled, ends or is deleted, and when their run is
 * cancelled; tells those who follow a key when it is changed. Fed by the log of changes that all processes follow.
 */
export async function openRevocation(options: {
  sql: SqlStore<IdentitySchema>;
  watch: IdentityWatch;
  live: LiveCalls;
  directory: CredentialDirectory;
  clock: Clock;
  onFailure: (error: unknown) => void;
}): Promise<Revocation> {
  const { watch, live, directory, clock, onFailure } = options;
  const cancelledRuns = new Map<string, number>();
  let timer: Scheduled | undefined;
  let isClosed = false;
  /** Keys may have changed since those who follow them were told. */
  let hasNews = false;

  const cancel = ({ tenant, id, atMs }: Pick<IdentityChange, 'tenant' | 'id' | 'atMs'>) => {
    cancelledRuns.set(runKey(tenant, id), atMs + rememberRunMs);
    live.abortRun(tenant, id, runCancelled());
  };

  async function tellChanges(): Promise<void> {
    if (!hasNews) return;
    hasNews = false;
    try {
      const now = new Map<string, Caller>();
      for (const keyId of live.followedKeys()) {
        const known = await directory.byId(keyId);
        if (known !== undefined) now.set(keyId, known.caller);
      }
      live.tellChanges(now);
    } catch (error) {
      hasNews = true;
      throw error;
    }
  }

  async function sweep(): Promise<void> {
    // Whoever was admitted a moment ago has been added to the live calls by then.
    await afterMicrotasks();
    for (const caller of live.callers()) {
      if (!(await isUsable(directory, caller, clock))) live.abortCaller(caller, keyRevoked());
    }
    await tellChanges();
    for (const [run, untilMs] of cancelledRuns) {
      if (untilMs > clock.now()) break;
      cancelledRuns.delete(run);
    }
  }

  function sweepOften(): void {
    if (isClosed) return;
    timer = clock.schedule(sweepMs, () => {
      sweep().catch(onFailure).finally(sweepOften);
    });
  }

  watch.onChange(changes => {
    for (const change of changes ?? []) if (change.kind === 'run') cancel(change);
    hasNews ||= changes?.some(({ kind }) => kind === 'key') ?? true;
    sweep().catch(onFailure);
  });
  for (const run of await recentlyCancelled(options.sql, clock.now() - rememberRunMs)) cancel(run);
  sweepOften();

  return {
    isRunCancelled: (tenant, runId) => cancelledRuns.size > 0 && cancelledRuns.has(runKey(tenant, runId)),
    close() {
      isClosed = true;
      timer?.cancel();
    },
  };
}

/** Another installation answers for its own keys, as a gateway does for a principal that the tree does not know. */
export async function isUsable(
  directory: CredentialDirectory,
  caller: LiveCaller,
  clock: Clock,
): Promise<boolean> {
  if (caller.envelope?.isForeign) return true;
  if (caller.keyId !== undefined) {
    const known = await directory.byId(caller.keyId);
    return known !== undefined && known.endsAtMs > clock.now();
  }
  const standing = await directory.standingOf(caller.tenant, caller.principal);
  if (standing === undefined) return true;
  return !standing.isStopped && (standing.endsAtMs ?? Number.POSITIVE_INFINITY) > clock.now();
}

async function recentlyCancelled(
  sql: SqlStore<IdentitySchema>,
  sinceMs: number,
): Promise<{ tenant: string; id: string; atMs: number }[]> {
  const rows = await sql.db
    .selectFrom('identity_changes')
    .select(['tenant', 'id', 'at_ms'])
    .where('kind', '=', 'run')
    .where('at_ms', '>', sinceMs)
    .orderBy('version')
    .execute();
  return rows.map(row => ({ tenant: row.tenant, id: row.id, atMs: Number(row.at_ms) }));
}

function runKey(tenant: string, runId: string): string {
  return JSON.stringify([tenant, runId]);
}

function keyRevoked(): GatewayError {
  return new GatewayError('unauthenticated', 'The key was revoked while the call was under way.', {
    reason: 'key_revoked',
  });
}

export function runCancelled(): GatewayError {
  return new GatewayError('cancelled', 'The run that this call belongs to was cancelled.', {
    reason: 'run_cancelled',
  });
}
