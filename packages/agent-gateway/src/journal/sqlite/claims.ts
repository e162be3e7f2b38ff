import type { Claim, Lease } from '../../domain/append.ts';
import type { ClaimOptions } from '../../domain/journal.ts';
import { chooseFairly } from '../../domain/queue.ts';
import type { Row } from '../rows.ts';
import type { Operation } from './operations.ts';
import type { Statements } from './statements.ts';

/** Takes all that is due when there is room for it; else tenants take turns. */
export function claimRuns(options: ClaimOptions, statements: Statements): Claim[] {
  const { nowMs, limit, active = {} } = options;
  const due = statements.all(
    'select id from runs where wake_at_ms <= ? order by wake_at_ms limit ?',
    nowMs,
    limit + 1,
  );
  const chosen =
    due.length <= limit ? due : chooseFairly(contenders(nowMs, limit, statements), { active, limit });
  return chosen.flatMap(({ id }) => claimRun(String(id), options, statements));
}

export function claimRun(id: string, { owner, nowMs, leaseMs }: Lease, statements: Statements): Claim[] {
  const text = `update runs set lease_owner = ?, wake_at_ms = ?, epoch = epoch + 1 where id = ?
    returning id, tenant, slot, epoch`;
  return statements.all(text, owner, nowMs + leaseMs, id).map(row => ({
    runId: String(row.id),
    tenant: String(row.tenant),
    isQueued: row.slot === 'waiting',
    epoch: Number(row.epoch),
  }));
}

/** Those due longest of every tenant and priority: a look into the index for each of these, however many runs they have. */
function contenders(nowMs: number, limit: number, statements: Statements) {
  const groups: Row[] = [];
  for (let last: Row | undefined; ; ) {
    last = statements.get(
      `select tenant, priority from runs where wake_at_ms is not null and (tenant, priority) > (?, ?)
       order by tenant, priority limit 1`,
      String(last?.tenant ?? ''),
      Number(last?.priority ?? -1),
    );
    if (last === undefined) break;
    groups.push(last);
  }
  return groups.flatMap(({ tenant, priority }) =>
    statements
      .all(
        `select id, wake_at_ms from runs where tenant = ? and priority = ? and wake_at_ms <= ?
         order by wake_at_ms limit ?`,
        String(tenant),
        Number(priority),
        nowMs,
        limit,
      )
      .map(row => ({
        id: String(row.id),
        tenant: String(tenant),
        priority: Number(priority),
        wakeAtMs: Number(row.wake_at_ms),
      })),
  );
}

export function renewLeases(
  { owner, runIds, nowMs, leaseMs }: Extract<Operation, { type: 'renew' }>,
  statements: Statements,
): { held: string[]; asked: string[] } {
  const held = statements.all(
    `update runs set wake_at_ms = ? where lease_owner = ? and id in (select value from json_each(?)) returning id`,
    nowMs + leaseMs,
    owner,
    JSON.stringify(runIds),
  );
  const asked = statements.all(
    'select distinct run_id from inbox where run_id in (select id from runs where lease_owner = ?)',
    owner,
  );
  return { held: held.map(row => String(row.id)), asked: asked.map(row => String(row.run_id)) };
}

/** What waits in the inbox makes it due at once. */
export function releaseRun(
  options: Extract<Operation, { type: 'release' }>,
  statements: Statements,
): boolean {
  const { claim, wakeAtMs, queuedUntilMs = wakeAtMs, isParked = false, status, nowMs } = options;
  const text = `update runs set lease_owner = null, status = ?, updated_at_ms = ?,
      wake_at_ms = case when not ? and exists (select 1 from inbox where run_id = runs.id) then 0
        when slot = 'waiting' then ? else ? end
    where id = ? and epoch = ? and lease_owner is not null`;
  const wake = [Number(isParked), queuedUntilMs, wakeAtMs] as const;
  return statements.run(text, status, nowMs, ...wake, claim.runId, claim.epoch) === 1;
}
