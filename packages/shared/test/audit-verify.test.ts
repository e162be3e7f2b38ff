import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditSchema } from '@strata/shared/audit/audit-schema.ts';
import type { ChainFinding } from '@strata/shared/audit/chain-check.ts';
import { digestOf } from '@strata/shared/json/canonical-json.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AuditBench, allowChanges, openAuditBench, toolCall } from './support/audit-chain.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-audit-verify-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

const length = 24;
const tables = ['audit_heads', 'audit_entries', 'audit_sensitive', 'audit_checkpoints'] as const;
type Entry = AuditSchema['audit_entries'];
type Database = AuditBench['store']['db'];

/** What an intruder with all rights on the database, but without the pepper, can do; and what the verifier must say. */
interface Attack {
  run(db: Database): Promise<unknown>;
  readonly named: readonly ChainFinding[];
}

const place = fc.integer({ min: 1, max: length });
const otherText = fc
  .string({ minLength: 1, maxLength: 8 })
  .map(text => text.toWellFormed().replaceAll('\0', '0'));

const entryAt = (db: Database, seq: number) =>
  db.selectFrom('audit_entries').selectAll().where('seq', '=', seq).executeTakeFirstOrThrow();
const setAt = (db: Database, seq: number, change: Partial<Entry>) =>
  db.updateTable('audit_entries').set(change).where('seq', '=', seq).execute();
/** Moves the entries from `seq` on by one place. Their numbers are unique at every step. */
const shift = async (db: Database, seq: number, by: 1 | -1) => {
  for (const sign of [-1, 1])
    await sql`update audit_entries set seq = ${sign === -1 ? sql`-(seq + ${by})` : sql`-seq`} where ${sign === -1 ? sql`seq >= ${seq}` : sql`seq < 0`}`.execute(
      db,
    );
};
const setHead = (db: Database, change: Partial<AuditSchema['audit_heads']>) =>
  db.updateTable('audit_heads').set(change).execute();
const forged = async (db: Database, seq: number): Promise<void> => {
  const model = await db.selectFrom('audit_entries').selectAll().limit(1).executeTakeFirstOrThrow();
  const record = model.record.replace('user:ada', 'user:eve');
  const hash = digestOf(record).slice('sha256:'.length);
  await db
    .insertInto('audit_entries')
    .values({ ...model, seq, id: `aud_forged_${seq}`, record, hash })
    .execute();
};

const changeOf = {
  column: (seq: number, text: string): Attack => ({
    run: db => setAt(db, seq, { principal: `user:${text}` }),
    named: text === 'ada' ? [] : [{ type: 'changed', seq, count: 1 }],
  }),
  nulled: (seq: number): Attack => ({
    run: db => setAt(db, seq, { key_id: null }),
    named: [{ type: 'changed', seq, count: 1 }],
  }),
  time: (seq: number): Attack => ({
    run: db => sql`update audit_entries set at_ms = at_ms + 1 where seq = ${seq}`.execute(db),
    named: [{ type: 'changed', seq, count: 1 }],
  }),
  /** One character of the record, with or without a hash that fits. */
  record: (seq: number, at: number, rehash: boolean): Attack => ({
    async run(db) {
      const { record, hash } = await entryAt(db, seq);
      const index = at % record.length;
      const other = record[index] === 'x' ? 'y' : 'x';
      const changed = `${record.slice(0, index)}${other}${record.slice(index + 1)}`;
      await setAt(db, seq, { record: changed, hash: rehash ? digestOf(changed).slice(7) : hash });
    },
    named: [{ type: 'changed', seq, count: 1 }],
  }),
  hash: (seq: number, column: 'hash' | 'seal'): Attack => ({
    run: db => setAt(db, seq, { [column]: '0'.repeat(64) }),
    named: [{ type: 'changed', seq, count: 1 }],
  }),
  sealOfAnother: (seq: number, other: number): Attack => ({
    run: async db => setAt(db, seq, { seal: (await entryAt(db, other)).seal }),
    named: seq === other ? [] : [{ type: 'changed', seq, count: 1 }],
  }),
};

const attacks: Record<string, fc.Arbitrary<Attack>> = {
  'change a column': fc.tuple(place, otherText).map(([seq, text]) => changeOf.column(seq, text)),
  'empty a column': place.map(changeOf.nulled),
  'change the time': place.map(changeOf.time),
  'change the record': fc
    .tuple(place, fc.nat(), fc.boolean())
    .map(([seq, at, rehash]) => changeOf.record(seq, at, rehash)),
  'change the hash or the seal': fc
    .tuple(place, fc.constantFrom('hash' as const, 'seal' as const))
    .map(([seq, column]) => changeOf.hash(seq, column)),
  'take the seal of another': fc
    .tuple(place, place)
    .map(([seq, other]) => changeOf.sealOfAnother(seq, other)),
  'delete an entry': place.map(seq => ({
    run: db => db.deleteFrom('audit_entries').where('seq', '=', seq).execute(),
    named: [{ type: seq === length ? 'truncated' : 'removed', seq, count: 1 }],
  })),
  'delete an entry and close the gap': fc.integer({ min: 1, max: length - 1 }).map(seq => ({
    async run(db) {
      await db.deleteFrom('audit_entries').where('seq', '=', seq).execute();
      await shift(db, seq + 1, -1);
    },
    named: [
      { type: 'removed', seq, count: 1 },
      { type: 'moved', seq: seq + 1, to: seq, count: length - seq },
    ],
  })),
  'insert an entry and make room': place.map(seq => ({
    async run(db) {
      await shift(db, seq, 1);
      await forged(db, seq);
    },
    named: [
      { type: 'inserted', seq, count: 1 },
      { type: 'moved', seq, to: seq + 1, count: length - seq + 1 },
    ],
  })),
  'append an entry': fc.constant({
    async run(db) {
      await forged(db, length + 1);
      await setHead(db, { seq: length + 1, hash: (await entryAt(db, length + 1)).hash });
    },
    named: [
      { type: 'head_changed', seq: length },
      { type: 'inserted', seq: length + 1, count: 1 },
    ],
  }),
  'swap two entries': fc.uniqueArray(place, { minLength: 2, maxLength: 2 }).map(([left = 1, right = 2]) => ({
    async run(db) {
      await sql`update audit_entries set seq = -${sql.lit(left)} where seq = ${left}`.execute(db);
      await sql`update audit_entries set seq = ${left} where seq = ${right}`.execute(db);
      await sql`update audit_entries set seq = ${right} where seq = -${sql.lit(left)}`.execute(db);
    },
    named: [
      { type: 'moved', seq: Math.min(left, right), to: Math.max(left, right), count: 1 },
      { type: 'moved', seq: Math.max(left, right), to: Math.min(left, right), count: 1 },
    ],
  })),
  'cut off the end': place.map(seq => ({
    run: db => db.deleteFrom('audit_entries').where('seq', '>=', seq).execute(),
    named: [{ type: 'truncated', seq, count: length - seq + 1 }],
  })),
  /** The last checkpoint stands at the last entry, so that the recorded end can lie and still nothing is hidden. */
  'cut off the end and set the recorded end back': fc.integer({ min: 2, max: length }).map(seq => ({
    async run(db) {
      const { hash } = await entryAt(db, seq - 1);
      await db.deleteFrom('audit_entries').where('seq', '>=', seq).execute();
      await setHead(db, { seq: seq - 1, hash });
    },
    named: [
      { type: 'truncated', seq, count: length - seq + 1 },
      { type: 'head_changed', seq: length },
    ],
  })),
  'remove the recorded end': fc.constant({
    run: db => db.deleteFrom('audit_heads').execute(),
    named: [{ type: 'head_changed', seq: length }],
  }),
  'change a checkpoint': fc.nat().map(at => ({
    async run(db) {
      const { token } = await db
        .selectFrom('audit_checkpoints')
        .select('token')
        .where('seq', '=', length)
        .executeTakeFirstOrThrow();
      const index = at % (token.length - 1); // the last character holds bits that say nothing
      const other = token[index] === 'A' ? 'B' : 'A';
      await db
        .updateTable('audit_checkpoints')
        .set({ token: `${token.slice(0, index)}${other}${token.slice(index + 1)}` })
        .where('seq', '=', length)
        .execute();
    },
    named: [{ type: 'checkpoint_forged', seq: length }],
  })),
};

const inOrder = (findings: readonly ChainFinding[]) => findings.map(each => JSON.stringify(each)).sort();

function verifyTests(name: string, emptyDatabase: () => Promise<string>): void {
  describe(`verifying on ${name}`, () => {
    let bench: AuditBench;
    const untouched: { readonly table: (typeof tables)[number]; readonly rows: readonly object[] }[] = [];

    beforeAll(async () => {
      bench = await openAuditBench(await emptyDatabase());
      for (let count = 0; count < length; count++) {
        bench.log.record(toolCall({ sensitive: { address: `203.0.113.${count}` } }));
        if (count === length / 2) await bench.sign();
      }
      await bench.sign();
      await allowChanges(bench);
      for (const table of tables)
        untouched.push({ table, rows: await bench.store.db.selectFrom(table).selectAll().execute() });
    });
    afterAll(() => bench.close());

    const restore = () =>
      bench.store.db.transaction().execute(async db => {
        for (const { table, rows } of untouched) {
          await sql`delete from ${sql.table(table)}`.execute(db);
          for (const row of rows) {
            const names = sql.join(Object.keys(row).map(column => sql.ref(column)));
            await sql`insert into ${sql.table(table)} (${names}) values (${sql.join(Object.values(row))})`.execute(
              db,
            );
          }
        }
      });
    const findings = async () => (await bench.verify({ tenant: 'acme' })).findings;

    test('[S22] a chain set back with everything that belongs to it is named by a checkpoint kept elsewhere', async () => {
      await restore();
      const { db } = bench.store;
      const heads = await db.selectFrom('audit_heads').selectAll().execute();
      bench.log.record(toolCall());
      bench.log.record(toolCall());
      await bench.sign();
      const kept = await db
        .selectFrom('audit_checkpoints')
        .selectAll()
        .orderBy('seq', 'desc')
        .executeTakeFirstOrThrow();
      const setBack = async () => {
        await db.deleteFrom('audit_entries').where('seq', '>', length).execute();
        await db.deleteFrom('audit_checkpoints').where('seq', '>', length).execute();
        for (const head of heads) await setHead(db, head);
      };
      await setBack();
      const anchored = async () => (await bench.verify({ tenant: 'acme', anchors: [kept.token] })).findings;
      expect(await findings()).toEqual([]); // the store alone cannot know
      expect(await anchored()).toEqual([
        { type: 'truncated', seq: length + 1, count: 2 },
        { type: 'head_changed', seq: length + 2 },
      ]);
      for (let count = 0; count < 3; count++) bench.log.record(toolCall());
      await bench.log.flush();
      expect(await anchored()).toEqual([{ type: 'rewritten', seq: length + 2 }]);
    });

    test('a part of a chain is checked by time', async () => {
      await restore();
      const { db } = bench.store;
      await setAt(db, 3, { principal: 'user:eve' });
      await setAt(db, 9, { principal: 'user:eve' });
      const from = (await entryAt(db, 5)).at_ms;
      const report = await bench.verify({ tenant: 'acme', fromMs: from });
      expect(report.findings.at(-1)).toEqual({ type: 'changed', seq: 9, count: 1 });
      const nothing = await bench.verify({ tenant: 'acme', fromMs: 1, toMs: 2 });
      expect(nothing).toMatchObject({ checked: 0, findings: [] });
      const unknown = await bench.verify({ tenant: 'nobody' });
      expect(unknown).toMatchObject({ checked: 0, findings: [] });
    });

    for (const [attack, arbitrary] of Object.entries(attacks)) {
      test(`[S22] property: ${attack}: exactly that is named`, async () => {
        await fc.assert(
          fc.asyncProperty(arbitrary, async ({ run, named }) => {
            await restore();
            expect(await findings()).toEqual([]);
            await bench.store.db.transaction().execute(run);
            expect(inOrder(await findings())).toEqual(inOrder(named));
          }),
          { numRuns: sized({ ci: 12, soak: 500 }) },
        );
      });
    }
  });
}

function longChainTest(engine: string, emptyDatabase: () => Promise<string>): void {
  test(`[T24] on ${engine} a long chain is verified in memory that does not grow, a million entries in less than a minute`, async () => {
    const entries = sized({ ci: 20_000, soak: 1_000_000 });
    const bench = await openAuditBench(await emptyDatabase(), {
      config: { max_pending: 1_000_000 },
    });
    for (let count = 0; count < entries; count++) {
      bench.log.record(toolCall({ sensitive: { address: '203.0.113.9' } }));
      if (count % 5000 === 0) await bench.sign();
    }
    await bench.sign();
    const [startedMs, before] = [performance.now(), process.cpuUsage()];
    const report = await bench.verify({ tenant: 'acme' });
    const used = process.cpuUsage(before);
    // Seconds of one core: what the clock on the wall says depends on who else is at work here.
    const seconds = (used.user + used.system) / 1e6;
    const wallSeconds = (performance.now() - startedMs) / 1000;
    process.stdout.write(
      `${engine}: ${report.checked} entries verified in ${seconds.toFixed(1)} s of one core, ${wallSeconds.toFixed(1)} s in all\n`,
    );
    expect(report).toMatchObject({ checked: entries, findings: [], isComplete: true });
    expect(seconds).toBeLessThan(60);
    await bench.close();
  });
}

let files = 0;
for (const tests of [verifyTests, longChainTest]) {
  tests('SQLite', async () => `file:${join(folder, `${++files}.sqlite`)}`);
  if (isMissing(postgres)) test.skip(`verifying on PostgreSQL: ${postgres.missing}`, () => {});
  else tests('PostgreSQL', () => postgres.createDatabase());
}
