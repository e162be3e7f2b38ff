import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson } from '@strata/shared/json/canonical-json.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { aroundFirst } from './support/around-first.ts';
import { type AuditBench, openAuditBench, toolCall } from './support/audit-chain.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-audit-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

function auditLogTests(name: string, emptyDatabase: () => Promise<string>): void {
  describe(`the audit log on ${name}`, () => {
    const clock = createManualClock();
    let url: string;
    let bench: AuditBench;
    beforeEach(async () => {
      url = await emptyDatabase();
      bench = await openAuditBench(url, { clock });
    });
    afterEach(() => bench.close());

    const entries = () => bench.store.db.selectFrom('audit_entries').selectAll().orderBy('seq').execute();
    const takeTableAway = () => sql`alter table audit_heads rename to elsewhere`.execute(bench.store.db);
    const bringTableBack = () => sql`alter table elsewhere rename to audit_heads`.execute(bench.store.db);

    test('[I18] an entry and what it records are committed together or not at all', async () => {
      const { db } = bench.store;
      const change = (id: string, fail: boolean) =>
        db.transaction().execute(async transaction => {
          await transaction
            .insertInto('envelope_keys')
            .values({ key_id: id, issuer: 'x', public_jwk: '{}', created_at_ms: 0 })
            .execute();
          await bench.log.appendIn(transaction, toolCall({ category: 'admin', action: 'key.create' }));
          if (fail) throw new Error('after the entry');
        });
      await change('kept', false);
      await expect(change('lost', true)).rejects.toThrow('after the entry');
      await expect(change('kept', false)).rejects.toMatchObject({ reason: 'unique_violation' });
      expect(await entries()).toHaveLength(1);
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([]);
    });

    test('an admin change does not happen when its entry cannot be stored', async () => {
      await takeTableAway();
      const change = bench.store.db.transaction().execute(async transaction => {
        await sql`insert into envelope_keys (key_id, issuer, public_jwk, created_at_ms) values ('k', 'x', '{}', 0)`.execute(
          transaction,
        );
        await bench.log.appendIn(transaction, toolCall());
      });
      await expect(change).rejects.toThrow();
      const keys = await bench.store.db.selectFrom('envelope_keys').select('key_id').execute();
      expect(keys.map(key => key.key_id)).not.toContain('k');
      await bringTableBack();
    });

    test('entries are stored in groups, in the order of their events, a chain a tenant', async () => {
      for (let count = 0; count < 600; count++)
        bench.log.record(toolCall({ tenant: count % 2 ? 'acme' : 'other', details: { count } }));
      expect(bench.log.pending).toBe(600);
      await bench.log.flush();
      const rows = (await entries()).filter(row => row.tenant === 'acme');
      expect(rows.map(row => row.seq)).toEqual(rows.map((_, index) => index + 1));
      expect(rows.map(row => JSON.parse(row.record).details.count)).toEqual(
        rows.map((_, index) => 2 * index + 1),
      );
      for (const row of rows) expect(canonicalJson(JSON.parse(row.record))).toBe(row.record);
      const report = await bench.verify({ tenant: 'other' });
      expect(report).toMatchObject({ checked: 300, findings: [], isComplete: true });
    });

    test('what is recorded while a group is stored is stored at its own time, even if that comes meanwhile', async () => {
      const held = Promise.withResolvers<void>();
      const store = aroundFirst(bench.store, async run => {
        await held.promise;
        await run();
      });
      const log = bench.openLog({ flush_ms: 200 }, store);
      log.record(toolCall());
      const first = log.flush();
      log.record(toolCall());
      await clock.advance(200);
      held.resolve();
      await first;
      expect([log.pending, (await entries()).length]).toEqual([1, 1]);
      await clock.advance(200);
      await expect.poll(() => log.pending, { timeout: 20_000 }).toBe(0);
      expect(await entries()).toHaveLength(2);
      await log.close();
    });

    test('while the store fails entries wait, further ones are counted, and the log says how many', async () => {
      const log = bench.openLog({ max_pending: 100 });
      await takeTableAway();
      for (let count = 0; count < 107; count++) log.record(toolCall());
      await expect(log.flush()).rejects.toThrow();
      await expect(log.flush()).rejects.toThrow();
      expect([log.pending, log.dropped]).toEqual([100, 7]);
      await bringTableBack();
      await log.flush();
      const rows = await entries();
      expect(rows.filter(row => row.tenant === 'acme')).toHaveLength(100);
      const [dropped] = rows.filter(row => row.action === 'log.dropped');
      expect(JSON.parse(dropped?.record ?? '{}')).toMatchObject({
        tenant: 'the installation',
        details: { entries: 7 },
      });
      await log.close();
    });

    test('an entry whose commit was in doubt is stored once', async () => {
      const log = bench.openLog(
        {},
        aroundFirst(bench.store, async run => {
          await run();
          throw new Error('the answer was lost');
        }),
      );
      log.record(toolCall());
      await expect(log.flush()).rejects.toThrow('the answer was lost');
      log.record(toolCall());
      await log.close();
      expect(await entries()).toHaveLength(2);
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([]);
    });

    test('hostile texts are stored as they are in the record, and as far as possible beside it', async () => {
      const hostile = `a\0b\ud800${'x'.repeat(600)}`;
      bench.log.record(toolCall({ action: hostile, principal: hostile, details: { number: Number.NaN } }));
      const target = { type: 'tool', id: 'z'.repeat(20_000) };
      bench.log.record(toolCall({ target, details: 'y'.repeat(20_000) }));
      await bench.log.flush();
      const [first, second] = await entries();
      expect(JSON.parse(first?.record ?? '')).toMatchObject({ action: hostile, details: { not_json: true } });
      expect(first?.action).toBe(`a\ufffdb\ufffd${'x'.repeat(508)}`);
      expect(JSON.parse(second?.record ?? '').details).toMatchObject({ too_large: 20_002 });
      expect(JSON.parse(second?.record ?? '').target.id).toHaveLength(512);
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([]);
    });

    test('[S22] the engine itself refuses to change or remove an entry or a checkpoint', async () => {
      bench.log.record(toolCall());
      await bench.log.close();
      for (const statement of [
        "update audit_entries set principal = 'user:eve'",
        'delete from audit_entries',
        "update audit_checkpoints set token = ''",
        'delete from audit_checkpoints',
      ])
        await expect(sql.raw(statement).execute(bench.store.db), statement).rejects.toThrow('append-only');
    });

    test('a chain is signed after so many entries, after some time, and at the end', async () => {
      const log = bench.openLog({ checkpoint_every: 10, checkpoint_ms: 60_000, flush_ms: 100 });
      const signed = async () =>
        (await bench.store.db.selectFrom('audit_checkpoints').select('seq').orderBy('seq').execute()).map(
          row => row.seq,
        );
      const settle = async (wanted: number[]) => expect.poll(signed, { timeout: 20_000 }).toEqual(wanted);
      for (let count = 0; count < 10; count++) log.record(toolCall());
      await log.flush();
      await settle([10]);
      log.record(toolCall());
      await log.flush();
      expect(await signed()).toEqual([10]);
      await clock.advance(60_000);
      await settle([10, 11]);
      log.record(toolCall());
      await log.close();
      expect(await signed()).toEqual([10, 11, 12]);
      expect(bench.lines.filter(line => line.includes('audit checkpoint'))).toHaveLength(3);
    });

    test('values beside the log can go: the rest still verifies; they cannot be changed', async () => {
      bench.log.record(toolCall({ sensitive: { address: '203.0.113.9', arguments: { path: '/etc' } } }));
      bench.log.record(toolCall({ sensitive: { address: '203.0.113.9' } }));
      await bench.log.flush();
      const [first, second] = (await entries()).map(row => JSON.parse(row.record));
      expect(JSON.stringify([first, second])).not.toContain('203.0.113.9');
      expect(first.sensitive.address).toBe(second.sensitive.address);
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([]);
      const changed = canonicalJson({ address: '203.0.113.8' });
      await bench.store.db
        .updateTable('audit_sensitive')
        .set({ named_values: changed })
        .where('id', '=', second.id)
        .execute();
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([
        { type: 'value_changed', seq: 2, name: 'address' },
      ]);
      await bench.store.db.deleteFrom('audit_sensitive').execute();
      expect((await bench.verify({ tenant: 'acme' })).findings).toEqual([]);
    });

    test('processes that append to one chain, one of them killed, leave one chain', async () => {
      const start = (count: number) =>
        fork(join(import.meta.dirname, 'fixtures/audit-appender.ts'), [url, String(count)], {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        });
      const [first, second, victim] = [start(150), start(150), start(100_000)];
      // Listened for from the beginning: they may be done before the third has said its part.
      const exits = Promise.all([first, second].map(async child => (await once(child, 'exit'))[0]));
      await said(victim, 40);
      victim.kill('SIGKILL');
      const codes = await exits;
      expect(codes).toEqual([0, 0]);
      const report = await bench.verify({ tenant: 'acme' });
      expect(report.findings).toEqual([]);
      expect(report.checked).toBeGreaterThanOrEqual(2 * 300 + 40);
      const rows = await entries();
      expect(new Set(rows.map(row => row.principal)).size).toBe(3);
    });
  });
}

/** Resolves when the process has said so many times that an entry is committed. */
function said(child: ChildProcess, times: number): Promise<void> {
  let heard = 0;
  return new Promise(resolve => {
    child.on('message', () => {
      heard++;
      if (heard === times) resolve();
    });
  });
}

let files = 0;
auditLogTests('SQLite', async () => `file:${join(folder, `${++files}.sqlite`)}`);
if (isMissing(postgres)) test.skip(`the audit log on PostgreSQL: ${postgres.missing}`, () => {});
else auditLogTests('PostgreSQL', () => postgres.createDatabase());
