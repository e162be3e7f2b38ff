import type { Claim } from '../../domain/append.ts';
import type { ClaimOptions } from '../../domain/journal.ts';
import { chooseFairly } from '../../domain/queue.ts';
import type { Row } from '../rows.ts';
import type { Connection, Query } from './connection.ts';

export const serverNow = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/** All that is due, if there is room for it; of more only that there is more. */
const claimText = `
  with due as (
    select id from runs where wake_at_ms <= coalesce($2::bigint, ${serverNow})
    order by wake_at_ms limit $4::bigint + 1 for update skip locked
  ), claimed as (
    update runs set lease_owner = $1, wake_at_ms = coalesce($2::bigint, ${serverNow}) + $3::bigint, epoch = epoch + 1
    from due where runs.id = due.id and (select count(*) from due) <= $4::bigint
    returning runs.id, runs.tenant, runs.slot, runs.epoch
  )
  select claimed.*, due.count from (select count(*) from due) due left join claimed on true`;

/** Those due longest of every tenant and priority: one look into the index for each of these, however many runs they have. */
const contendersText = `
  with recursive groups as (
    (select tenant, priority from runs where wake_at_ms is not null order by tenant, priority limit 1)
    union all
    select next.tenant, next.priority from groups, lateral (
      select tenant, priority from runs
      where wake_at_ms is not null and (tenant, priority) > (groups.tenant, groups.priority)
      order by tenant, priority limit 1
    ) next
  )
  select due.* from groups, lateral (
    select id, tenant, priority, wake_at_ms from runs
    where tenant = groups.tenant and priority = groups.priority and wake_at_ms <= coalesce($1::bigint, ${serverNow})
    order by wake_at_ms limit $2 for update skip locked
  ) due`;

const takeText = `
  update runs set lease_owner = $1, wake_at_ms = coalesce($2::bigint, ${serverNow}) + $3::bigint, epoch = epoch + 1
  where id = any ($4::text[]) returning id, tenant, slot, epoch`;

/** Takes all that is due when there is room for it; else tenants take turns. Rows that another process is taking are passed over. */
export async function claimRuns(
  { owner, nowMs, leaseMs, limit, active = {} }: Omit<ClaimOptions, 'nowMs'> & { nowMs: number | null },
  connection: Connection,
): Promise<Claim[]> {
  const rows = await connection.query('claim', claimText, [owner, nowMs, leaseMs, limit]);
  if (Number(rows[0]?.count ?? 0) <= limit) return rows.filter(({ id }) => id !== null).map(toClaim);
  return connection.transaction(async (query: Query) => {
    const due = (await query('contenders', contendersText, [nowMs, limit])).map(row => ({
      id: String(row.id),
      tenant: String(row.tenant),
      priority: Number(row.priority),
      wakeAtMs: Number(row.wake_at_ms),
    }));
    const chosen = chooseFairly(due, { active, limit }).map(({ id }) => id);
    return (await query('take', takeText, [owner, nowMs, leaseMs, chosen])).map(toClaim);
  });
}

export function toClaim({ id, tenant, slot, epoch }: Row): Claim {
  return { runId: String(id), tenant: String(tenant), isQueued: slot === 'waiting', epoch: Number(epoch) };
}
