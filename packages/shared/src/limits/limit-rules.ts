import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { noteChange } from '../identity/identity-changes.ts';
import type { IdentitySchema } from '../identity/identity-schema.ts';
import type { SubjectKind } from '../money/subject.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { Limit, LimitUnit } from './limit.ts';
import type { LimitTables } from './limit-schema.ts';

/** A limit that was set while the gateways run. */
export interface LimitRule extends Limit {
  readonly version: number;
}

export type LimitRuleChange = Partial<Pick<Limit, 'amount' | 'windowMs'>>;

type LimitSchema = LimitTables & IdentitySchema;
type LimitTransaction = Transaction<LimitSchema>;

export interface LimitRuleOptions {
  /** What else happens in the transaction of the change: the audit's place. */
  readonly record?: ((transaction: LimitTransaction, rule: LimitRule) => Promise<void>) | undefined;
  /** The version that the change was decided on. */
  readonly revision?: number | undefined;
}

/** Where limits are kept that are set while the gateways run. Every change is written to the log that all processes follow. */
export interface LimitRules {
  /** @throws GatewayError conflict (`unique_violation`, `too_many_limits`). */
  create(limit: Limit, options?: LimitRuleOptions): Promise<LimitRule>;
  /** @throws GatewayError not_found (`unknown_limit`), conflict (`revision_mismatch`). */
  update(id: string, change: LimitRuleChange, options?: LimitRuleOptions): Promise<LimitRule>;
  /** @throws GatewayError not_found (`unknown_limit`), conflict (`revision_mismatch`). */
  remove(id: string, options?: LimitRuleOptions): Promise<void>;
  find(id: string): Promise<LimitRule | undefined>;
  /** Of one organisation, in the order of their ids. */
  list(page: {
    readonly tenant: string;
    readonly after: string;
    readonly limit: number;
  }): Promise<LimitRule[]>;
  /** All of them. */
  all(): Promise<LimitRule[]>;
}

/** Each request of an organisation looks at all of its limits with a pattern. */
const maxOfTenant = 1000;

export function createLimitRules(options: {
  readonly sql: SqlStore<LimitSchema>;
  readonly clock: Clock;
  /** Called after a change was committed: the moment to tell other processes. */
  readonly onChanged?: () => void;
}): LimitRules {
  const { sql, clock, onChanged } = options;
  const { db } = sql;

  /** The log's row is locked first, so what `work` reads stands until the commit. */
  async function change(
    subject: { readonly tenant: string; readonly id: string },
    work: (transaction: LimitTransaction) => Promise<LimitRule>,
    { record }: LimitRuleOptions,
  ): Promise<LimitRule> {
    const rule = await db.transaction().execute(async transaction => {
      await noteChange(transaction, { ...subject, kind: 'limit' }, clock.now());
      const changed = await work(transaction);
      await record?.(transaction, changed);
      return changed;
    });
    onChanged?.();
    return rule;
  }

  const find = async (reader: Pick<LimitTransaction, 'selectFrom'>, id: string) => {
    const row = await reader.selectFrom('rate_limits').selectAll().where('id', '=', id).executeTakeFirst();
    return row && toRule(row);
  };

  async function findForChange(transaction: LimitTransaction, id: string, revision: number | undefined) {
    const rule = await find(transaction, id);
    if (rule === undefined) throw unknownLimit();
    if (revision === undefined || revision === rule.version) return rule;
    throw new GatewayError('conflict', 'The limit was changed since it was read.', {
      reason: 'revision_mismatch',
    });
  }

  return {
    create: (limit, options = {}) =>
      change(
        limit,
        async transaction => {
          const { count } = await transaction
            .selectFrom('rate_limits')
            .select(({ fn }) => fn.countAll().as('count'))
            .where('tenant', '=', limit.tenant)
            .executeTakeFirstOrThrow();
          if (Number(count) >= maxOfTenant) throw tooManyLimits();
          const rule = { ...limit, version: 1 };
          await transaction.insertInto('rate_limits').values(toRow(rule)).execute();
          return rule;
        },
        options,
      ),
    async update(id, changed, options = {}) {
      const { tenant } = (await find(db, id)) ?? raise(unknownLimit());
      return change(
        { tenant, id },
        async transaction => {
          const before = await findForChange(transaction, id, options.revision);
          const rule = { ...before, ...changed, version: before.version + 1 };
          await transaction.updateTable('rate_limits').set(toRow(rule)).where('id', '=', id).execute();
          return rule;
        },
        options,
      );
    },
    async remove(id, options = {}) {
      const { tenant } = (await find(db, id)) ?? raise(unknownLimit());
      await change(
        { tenant, id },
        async transaction => {
          const rule = await findForChange(transaction, id, options.revision);
          await transaction.deleteFrom('rate_limits').where('id', '=', id).execute();
          return rule;
        },
        options,
      );
    },
    find: id => find(db, id),
    async list({ tenant, after, limit }) {
      const rows = await db
        .selectFrom('rate_limits')
        .selectAll()
        .where('tenant', '=', tenant)
        .where('id', '>', after)
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(toRule);
    },
    async all() {
      return (await db.selectFrom('rate_limits').selectAll().orderBy('id').execute()).map(toRule);
    },
  };
}

function toRow(rule: LimitRule): LimitTables['rate_limits'] {
  return {
    id: rule.id,
    tenant: rule.tenant,
    name: rule.name,
    subject_kind: rule.subject.kind,
    subject_id: rule.subject.id,
    is_each: rule.isEach ? 1 : 0,
    unit: rule.unit,
    amount: rule.amount,
    window_ms: rule.windowMs,
    version: rule.version,
  };
}

function toRule(row: LimitTables['rate_limits']): LimitRule {
  return {
    id: row.id,
    tenant: row.tenant,
    name: row.name,
    // Written by `toRow` only.
    subject: { kind: row.subject_kind as SubjectKind, id: row.subject_id },
    isEach: Number(row.is_each) === 1,
    unit: row.unit as LimitUnit,
    amount: Number(row.amount),
    windowMs: Number(row.window_ms),
    version: Number(row.version),
  };
}

function raise(error: GatewayError): never {
  throw error;
}

function unknownLimit(): GatewayError {
  return new GatewayError('not_found', 'There is no such limit.', { reason: 'unknown_limit' });
}

function tooManyLimits(): GatewayError {
  return new GatewayError('conflict', `An organisation has at most ${maxOfTenant} limits.`, {
    reason: 'too_many_limits',
  });
}
