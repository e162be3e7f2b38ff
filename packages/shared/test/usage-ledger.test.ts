import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MoneySchema, moneyMigrations } from '@strata/shared/money/money-schema.ts';
import { ledgerSection } from '@strata/shared/money/money-section.ts';
import type { LedgerEntry } from '@strata/shared/money/usage-entry.ts';
import { type UsageGroup, usageGroups } from '@strata/shared/money/usage-groups.ts';
import { createUsageLedger } from '@strata/shared/money/usage-ledger.ts';
import { reportUsage } from '@strata/shared/money/usage-report.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import pino from 'pino';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { aroundFirst } from './support/around-first.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-ledger-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

const day = 86_400_000;
const noon = Date.UTC(2026, 10, 24, 12);

let serial = 0;
const entry = (more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: `att_${++serial}`,
  atMs: noon,
  durationMs: 12.7,
  gateway: 'ai-gateway',
  tenant: 'acme',
  principal: 'user:ada',
  keyId: 'key_1',
  runId: undefined,
  taskId: undefined,
  alias: 'chat',
  provider: 'main',
  model: 'gpt-5-mini',
  outcome: 'answered',
  usage: { input: 10, cacheRead: 5, cacheWrite: 3, cacheWrite1h: 2, output: 7, reasoning: 1 },
  usageSource: 'reported',
  costNanoUsd: 1234n,
  priceVersion: '2026-11-10/abc',
  ...more,
});

function ledgerTests(
  name: string,
  emptyDatabase: () => Promise<string>,
  runs: () => ReturnType<typeof modelRuns>,
): void {
  describe(`the usage ledger on ${name}`, () => {
    let url: string;
    let store: SqlStore<MoneySchema>;
    const clock = createManualClock();
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: line => lines.push(line) });
    const open = (config: object = {}, sql = store) =>
      createUsageLedger({ sql, clock, log, config: ledgerSection.parse(config) });
    const stored = () => store.db.selectFrom('usage_ledger').selectAll().orderBy('id').execute();
    const takeTableAway = () => sql`alter table usage_ledger rename to elsewhere`.execute(store.db);
    const bringTableBack = () => sql`alter table elsewhere rename to usage_ledger`.execute(store.db);

    beforeEach(async () => {
      lines.length = 0;
      url = await emptyDatabase();
      store = await openSqlStore<MoneySchema>({
        url,
        config: storeSection.parse({}),
        migrations: [moneyMigrations],
        clock,
      });
    });
    afterEach(() => store.close());

    test('[$-3] an entry is stored as it was recorded; what is not known is null, not 0', async () => {
      const ledger = open();
      const known = entry();
      const unknown = entry({
        usage: undefined,
        usageSource: 'missing',
        costNanoUsd: undefined,
        priceVersion: undefined,
      });
      ledger.record(known);
      ledger.record(unknown);
      await ledger.flush();
      const rows = new Map((await stored()).map(row => [row.id, row]));
      expect(rows.get(known.id)).toMatchObject({
        at_ms: noon,
        duration_ms: 13,
        tenant: 'acme',
        run_id: null,
        input: 10,
        cache_read: 5,
        cache_write: 3,
        cache_write_1h: 2,
        output: 7,
        reasoning: 1,
        cost_nano_usd: 1234,
        price_version: '2026-11-10/abc',
      });
      expect(rows.get(unknown.id)).toMatchObject({
        input: null,
        reasoning: null,
        cost_nano_usd: null,
        price_version: null,
      });
      await ledger.close();
    });

    test('[$-3] a name that no engine can hold keeps nothing from being booked', async () => {
      const ledger = open();
      ledger.record(entry({ costNanoUsd: 3n }));
      ledger.record(
        entry({ model: 'a\0b', serviceTier: '\0', tags: ['\0', '\ud800'], runId: 'run\0', costNanoUsd: 4n }),
      );
      ledger.record(entry({ alias: 'x'.repeat(5000), costNanoUsd: 5n }));
      await ledger.flush();
      expect((await stored()).map(row => row.cost_nano_usd).sort()).toEqual([3, 4, 5]);
      const totals = await reportUsage(store, { by: ['model'], fromMs: 0, toMs: noon + 9 * day });
      expect(totals.map(each => [each.groups[0], each.costNanoUsd])).toEqual([
        ['gpt-5-mini', 8n],
        ['a\ufffdb', 4n],
      ]);
      await ledger.close();
    });

    test('[I1] what is booked stays as it is: the store refuses to edit or remove an entry', async () => {
      const ledger = open();
      ledger.record(entry({ costNanoUsd: 5n }));
      await ledger.flush();
      const before = await stored();
      const edits = [sql`update usage_ledger set cost_nano_usd = 0`, sql`delete from usage_ledger`];
      for (const edit of edits) await expect(edit.execute(store.db)).rejects.toThrow('append-only');
      expect(await stored()).toEqual(before);
      await ledger.close();
    });

    test('entries wait for one another, no longer than `flush_ms`', async () => {
      const ledger = open({ flush_ms: 200 });
      ledger.record(entry());
      ledger.record(entry());
      await clock.advance(199);
      expect([ledger.pending, (await stored()).length]).toEqual([2, 0]);
      await clock.advance(1);
      await ledger.flush();
      expect([ledger.pending, (await stored()).length]).toEqual([0, 2]);
      await ledger.close();
    });

    test('what is recorded while a group is stored is stored at its own time, even if that comes meanwhile', async () => {
      const held = Promise.withResolvers<void>();
      const holding = aroundFirst(store, async run => {
        await held.promise;
        await run();
      });
      const ledger = open({ flush_ms: 200 }, holding);
      ledger.record(entry());
      const first = ledger.flush();
      ledger.record(entry());
      await clock.advance(200);
      held.resolve();
      await first;
      expect([ledger.pending, (await stored()).length]).toEqual([1, 1]);
      await clock.advance(200);
      await expect.poll(() => ledger.pending, { timeout: 20_000 }).toBe(0);
      expect(await stored()).toHaveLength(2);
      await ledger.close();
    });

    test('a clean stop stores everything, however much', async () => {
      const ledger = open();
      for (let count = 0; count < 1234; count++) ledger.record(entry());
      await ledger.close();
      expect(await stored()).toHaveLength(1234);
    });

    test('a flush ends with what was recorded before it, however fast more is recorded', async () => {
      const ledger = open();
      const before = serial;
      let isOver = false;
      const load = (async () => {
        while (!isOver) {
          ledger.record(entry());
          await new Promise(resolve => setImmediate(resolve));
        }
      })();
      await ledger.flush();
      isOver = true;
      await load;
      await ledger.close();
      expect(await stored()).toHaveLength(serial - before);
    });

    test('an entry that is recorded again, after a commit in doubt, is stored once', async () => {
      const ledger = open();
      const twice = entry();
      ledger.record(twice);
      await ledger.flush();
      ledger.record(twice);
      ledger.record(entry());
      await ledger.close();
      expect(await stored()).toHaveLength(2);
    });

    test('while the store fails entries wait, new work is refused when too many do, and nothing is lost', async () => {
      const ledger = open({ max_pending: 100 });
      await takeTableAway();
      for (let count = 0; count < 99; count++) ledger.record(entry());
      ledger.requireRoom();
      ledger.record(entry());
      expect(() => ledger.requireRoom()).toThrow(
        expect.objectContaining({ kind: 'overloaded', reason: 'ledger_full' }),
      );
      await expect(ledger.flush()).rejects.toThrow();
      await expect(ledger.flush()).rejects.toThrow();
      expect(ledger.pending).toBe(100);
      expect(lines).toHaveLength(1); // once for each time the store is away
      await bringTableBack();
      await ledger.flush();
      ledger.requireRoom();
      expect(await stored()).toHaveLength(100);
      await ledger.close();
    });

    test('what cannot be stored before the stop is in the log, entry by entry', async () => {
      const ledger = open();
      await takeTableAway();
      ledger.record(entry({ id: 'att_lost', costNanoUsd: 77n }));
      const closing = ledger.close();
      let isClosed = false;
      closing.then(() => {
        isClosed = true;
      });
      while (!isClosed) {
        await clock.advance(500);
        await new Promise(resolve => setImmediate(resolve));
      }
      expect(lines.map(line => JSON.parse(line))).toContainEqual(
        expect.objectContaining({
          id: 'att_lost',
          costNanoUsd: '77',
          msg: 'usage was not stored before the stop',
        }),
      );
      await bringTableBack();
    });

    test('[I2] property: any grouping adds up to what was recorded, unknown costs apart', async () => {
      const ledger = open();
      const some = fc.record({
        tenant: fc.constantFrom('acme', 'other'),
        principal: fc.constantFrom('user:ada', 'user:bob', "'; drop table usage_ledger --"),
        runId: fc.constantFrom(undefined, 'run_1', 'run_2'),
        tags: fc.constantFrom([], ['blue'], ['Blue']),
        team: fc.constantFrom(undefined, 'support', 'sales'),
        model: fc.constantFrom('small', 'large'),
        atMs: fc.integer({ min: noon - 3 * day, max: noon + 3 * day }),
        costNanoUsd: fc.option(fc.bigInt({ min: 0n, max: 10n ** 15n }), { nil: undefined }),
      });
      const entries: LedgerEntry[] = [];
      // Some hours, and some months: sums of hours, days and months, and what is missing at their edges.
      const span = fc.oneof(
        fc.record({
          fromMs: fc.integer({ min: -80, max: 80 }).map(hour => noon + (hour * day) / 24),
          lengthMs: fc.integer({ min: 0, max: 7 * day }),
        }),
        fc.record({
          fromMs: fc.integer({ min: noon - 60 * day, max: noon }),
          lengthMs: fc.integer({ min: 0, max: 90 * day }),
        }),
      );
      await fc.assert(
        fc.asyncProperty(
          fc.array(some, { maxLength: 30 }),
          span,
          fc.shuffledSubarray(usageGroups, { minLength: 2 }),
          async (more, { fromMs, lengthMs }, together) => {
            const made = more.map(each => entry(each));
            entries.push(...made);
            for (const each of made) ledger.record(each);
            await ledger.flush();
            const toMs = fromMs + lengthMs;
            const wanted = entries.filter(
              each => each.tenant === 'acme' && each.atMs >= fromMs && each.atMs < toMs,
            );
            // Every one alone, and as many together as there are, in any order.
            for (const by of [...usageGroups.map(group => [group]), together]) {
              const totals = await reportUsage(store, { by, fromMs, toMs, tenant: 'acme' });
              const sum = totals.reduce((total, each) => total + each.costNanoUsd, 0n);
              expect(sum).toBe(wanted.reduce((total, each) => total + (each.costNanoUsd ?? 0n), 0n));
              expect(totals.reduce((total, each) => total + each.attempts, 0)).toBe(wanted.length);
              expect(totals.reduce((total, each) => total + each.withoutCost, 0)).toBe(
                wanted.filter(each => each.costNanoUsd === undefined).length,
              );
              expect(totals.reduce((total, each) => total + each.inputTokens, 0)).toBe(20 * wanted.length);
              expect(new Set(totals.map(({ groups }) => JSON.stringify(groups))).size).toBe(totals.length);
            }
          },
        ),
        runs(),
      );
      await ledger.close();
    });

    test('runs and tags together are read from the entries; an entry with two tags is in both groups', async () => {
      const ledger = open();
      const add = (runId: string | undefined, tags: string[], atMs: number) =>
        ledger.record(entry({ runId, tags, atMs, costNanoUsd: 10n }));
      add('run_1', ['blue', 'red'], noon);
      add('run_1', ['blue'], noon + 2 * day);
      add('run_2', [], noon);
      add(undefined, ['blue'], noon);
      await ledger.flush();
      const ask = (more: object) =>
        reportUsage(store, { by: ['run', 'tag'], fromMs: 0, toMs: noon + 9 * day, ...more });
      expect((await ask({})).map(each => [...each.groups, each.costNanoUsd])).toEqual([
        ['run_1', 'blue', 20n],
        ['run_1', 'red', 10n],
        ['run_2', undefined, 10n],
        [undefined, 'blue', 10n],
      ]);
      expect(
        (await ask({ by: ['model'], where: { run: 'run_1', tag: 'b*' } })).map(each => each.costNanoUsd),
      ).toEqual([20n]);
      expect((await ask({ limit: 1 })).map(each => each.groups)).toEqual([['run_1', 'blue']]);
      await ledger.close();
    });

    test('sums of hours, days and months are made of what was booked before there were such sums', async () => {
      const ledger = open();
      for (let index = 0; index < 200; index++)
        ledger.record(
          entry({
            atMs: noon - index * 9 * 3_600_000,
            team: index % 3 === 0 ? undefined : `team-${index % 2}`,
            principal: `user:${index % 5}`,
            keyId: index % 4 === 0 ? undefined : `key_${index % 5}`,
            tags: index % 3 === 0 ? [] : ['blue', `t${index % 4}`],
            costNanoUsd: index % 7 === 0 ? undefined : BigInt(index),
          }),
        );
      await ledger.close();
      const sums = async () => {
        const rows = await store.db.selectFrom('usage_rollups').selectAll().execute();
        return rows.map(({ id: _, ...row }) => JSON.stringify(Object.values(row).map(String))).sort();
      };
      const kept = await sums();
      await store.db
        .deleteFrom('usage_rollups')
        .where('kind', 'in', ['day', 'hour', 'tag-day', 'tag-hour', 'month', 'quarter', 'run-hour'])
        .execute();
      await sql`delete from strata_migrations where name = 'money/0008-usage-rollups-by-span'`.execute(
        store.db,
      );
      const before = store;
      store = await openSqlStore<MoneySchema>({
        url,
        config: storeSection.parse({}),
        migrations: [moneyMigrations],
        clock,
      });
      await before.close();
      expect(await sums()).toEqual(kept);
    });

    test('groups: the dearest first, days in order, those without one last or apart', async () => {
      const ledger = open();
      ledger.record(entry({ model: 'small', costNanoUsd: 1n, atMs: noon }));
      ledger.record(entry({ model: 'large', costNanoUsd: 5n, atMs: noon + day, runId: 'run_1' }));
      await ledger.flush();
      const report = (by: UsageGroup) => reportUsage(store, { by: [by], fromMs: 0, toMs: noon + 9 * day });
      expect((await report('model')).map(each => [...each.groups, each.costNanoUsd])).toEqual([
        ['large', 5n],
        ['small', 1n],
      ]);
      expect((await report('day')).flatMap(each => each.groups)).toEqual(['2026-11-24', '2026-11-25']);
      expect((await report('run')).flatMap(each => each.groups)).toEqual(['run_1', undefined]);
      await ledger.close();
    });
  });
}

let files = 0;
ledgerTests(
  'SQLite',
  async () => `file:${join(folder, `${++files}.sqlite`)}`,
  () => modelRuns('ledger', 'SQLite'),
);
if (isMissing(postgres)) test.skip(`the usage ledger on PostgreSQL: ${postgres.missing}`, () => {});
else
  ledgerTests(
    'PostgreSQL',
    () => postgres.createDatabase(),
    () => modelRuns('ledger', 'PostgreSQL'),
  );
