import type { AuditLog } from '@strata/shared/audit/audit-log.ts';
import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import type { AuditSchema } from '@strata/shared/audit/audit-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Kysely, Transaction } from 'kysely';
import { type CollectedEvents, noEvents } from '../domain/collect-events.ts';
import type { KeptSchedule, Schedule, Schedules } from '../domain/schedule.ts';
import type { ScheduleSchema } from './schedule-schema.ts';

type Row = ScheduleSchema['schedules'];
type Plan = Pick<Schedule, 'workflow' | 'input' | 'recurrence' | 'overlap' | 'catchUp' | 'caller'>;

/** Schedules in the store that the gateways share, each change by somebody with its audit entry (I18). */
export function createSchedules({
  sql: { db },
  audit,
}: {
  readonly sql: SqlStore<ScheduleSchema>;
  readonly audit: Pick<AuditLog, 'appendIn'>;
}): Schedules {
  /** The entry comes last: until the transaction ends nobody else can append. Without a change there is none. */
  const changing = <Result>(
    entry: AuditEvent | undefined,
    change: (within: Kysely<ScheduleSchema>) => Promise<Result>,
  ): Promise<Result> =>
    db.transaction().execute(async transaction => {
      const result = await change(transaction);
      // Both tables are in one database.
      const whole = transaction as unknown as Transaction<AuditSchema>;
      if (entry !== undefined && result !== false) await audit.appendIn(whole, entry);
      return result;
    });

  return {
    async put(schedule, entry) {
      const row = toRow(schedule);
      const { tenant: _tenant, name: _name, created_at_ms: _created, revision: _revision, ...changed } = row;
      const kept = await changing(entry, within =>
        within
          .insertInto('schedules')
          .values(row)
          .onConflict(conflict =>
            conflict
              .columns(['tenant', 'name'])
              .doUpdateSet(current => ({ ...changed, revision: current('schedules.revision', '+', 1) })),
          )
          .returningAll()
          .executeTakeFirstOrThrow(),
      );
      return fromRow(kept);
    },
    async get(tenant, name) {
      const row = await db
        .selectFrom('schedules')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('name', '=', name)
        .executeTakeFirst();
      return row && fromRow(row);
    },
    async count(tenant) {
      const { n } = await db
        .selectFrom('schedules')
        .select(({ fn }) => fn.countAll<number | string>().as('n'))
        .where('tenant', '=', tenant)
        .executeTakeFirstOrThrow();
      return Number(n);
    },
    async list({ tenant, after = '', limit }) {
      const rows = await db
        .selectFrom('schedules')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('name', '>', after)
        .orderBy('name')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
    delete: (tenant, name, entry) =>
      changing(entry, async within => {
        const { numDeletedRows } = await within
          .deleteFrom('schedules')
          .where('tenant', '=', tenant)
          .where('name', '=', name)
          .executeTakeFirst();
        return numDeletedRows > 0n;
      }),
    async due(nowMs, limit) {
      const rows = await db
        .selectFrom('schedules')
        .selectAll()
        .where('is_paused', '=', 0)
        .where('next_at_ms', '<=', nowMs)
        .orderBy('next_at_ms')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
    change: ({ tenant, name, revision }, { isPaused, nextAtMs, lastRunId, collected }, entry) =>
      changing(entry, async within => {
        const { numUpdatedRows } = await within
          .updateTable('schedules')
          .set({
            revision: revision + 1,
            ...(isPaused !== undefined && { is_paused: isPaused ? 1 : 0 }),
            ...(nextAtMs !== undefined && { next_at_ms: nextAtMs }),
            ...(lastRunId !== undefined && { last_run: lastRunId }),
            ...(collected !== undefined && { collected: JSON.stringify(collected) }),
          })
          .where('tenant', '=', tenant)
          .where('name', '=', name)
          .where('revision', '=', revision)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      }),
  };
}

function toRow(schedule: Schedule): Row {
  const { tenant, name, isPaused, nextAtMs, lastRunId, createdAtMs, collected: _, ...plan } = schedule;
  return {
    tenant,
    name,
    revision: 1,
    is_paused: isPaused ? 1 : 0,
    next_at_ms: nextAtMs,
    last_run: lastRunId ?? null,
    created_at_ms: createdAtMs,
    collected: null,
    plan: JSON.stringify(plan satisfies Plan),
  };
}

function fromRow(row: Row): KeptSchedule {
  return {
    ...(JSON.parse(row.plan) as Plan), // written by `toRow`
    tenant: row.tenant,
    name: row.name,
    revision: Number(row.revision),
    isPaused: Number(row.is_paused) === 1,
    nextAtMs: Number(row.next_at_ms),
    lastRunId: row.last_run ?? undefined,
    createdAtMs: Number(row.created_at_ms),
    collected: row.collected === null ? noEvents : (JSON.parse(row.collected) as CollectedEvents), // written by `change`
  };
}
