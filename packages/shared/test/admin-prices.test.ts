import { costOf } from '@strata/shared/money/price.ts';
import { builtInPrices } from '@strata/shared/money/price-catalog.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminBench, type AdminCall, openAdminBench } from './support/admin-bench.ts';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

const path = `/prices/${encodeURIComponent('openai/gpt-5-mini')}`;
const prices = (input: string) => ({ input, output: '8' });
const usage = { input: 1000, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

function priceTests(name: string, config: () => Promise<Record<string, unknown>>): void {
  describe(`prices over the admin API on ${name}`, () => {
    let bench: AdminBench;
    let shared: Record<string, unknown>;

    beforeAll(async () => {
      shared = await config();
      bench = await openAdminBench({ config: shared });
    });
    afterAll(() => bench.close());

    const call = (more: Partial<AdminCall> & { path: string }) =>
      bench.call({ key: bench.deps.adminKey, ...more });
    const set = (input: string, more: Partial<AdminCall> = {}) =>
      call({
        method: 'POST',
        path: '/prices',
        body: { vendor: 'openai', model: 'gpt-5-mini', prices: prices(input) },
        ...more,
      });
    const rowsOf = async () =>
      (
        await sql<{ model: string }>`select * from price_overrides order by version, model`.execute(
          bench.deps.sql.db,
        )
      ).rows;

    test('each change is a version of its own, in force at once, until it is taken back', async () => {
      expect((await call({ path })).body).toMatchObject({
        source: 'snapshot',
        version: builtInPrices().version,
      });
      const first = await set('3');
      const second = await set('4', { headers: { 'if-match': first.etag ?? '' } });
      expect([first.status, second.status]).toEqual([201, 201]);
      expect(second.etag).not.toBe(first.etag);
      const shown = await call({ path });
      expect(shown.body).toMatchObject({
        source: 'admin',
        prices: prices('4'),
        version: second.body.version,
      });
      expect(shown.etag).toBe(second.etag);
      const listed = await call({ path: '/prices?source=admin' });
      expect(listed.body.items).toEqual([shown.body]);

      await expect
        .poll(() => bench.deps.priceOverrides.find('openai', 'gpt-5-mini')?.version, { timeout: 20_000 })
        .toBe(second.body.version);
      expect(costOf(usage, bench.deps.priceOverrides.find('openai', 'gpt-5-mini'))).toBe(4_000_000n);
      expect(bench.deps.priceOverrides.find('openai', 'gpt-5-mini-2026-01-31')?.version).toBe(
        second.body.version,
      );

      const remove = (etag: string) => call({ method: 'DELETE', path, headers: { 'if-match': etag } });
      expect((await remove(first.etag ?? '')).body.reason).toBe('revision_mismatch');
      expect((await remove(second.etag ?? '')).status).toBe(204);
      expect((await remove('*')).status).toBe(404);
      expect((await call({ path })).body.source).toBe('snapshot');
      await expect
        .poll(() => bench.deps.priceOverrides.find('openai', 'gpt-5-mini'), { timeout: 20_000 })
        .toBeUndefined();

      const history = await call({ path: `${path}/versions?limit=2` });
      const rest = await call({
        path: `${path}/versions?limit=2&cursor=${encodeURIComponent(String(history.body.next_cursor))}`,
      });
      const versions = [history, rest].flatMap(
        reply => reply.body.items as { prices?: object; version: string }[],
      );
      expect(versions.map(each => each.prices)).toEqual([undefined, prices('4'), prices('3')]);
      expect(versions.slice(1).map(each => each.version)).toEqual([second.body.version, first.body.version]);
    });

    test('[$-2] what a cost was counted with stays as it was: the store refuses to edit or remove a version', async () => {
      await set('5');
      const before = await rowsOf();
      const edits = [sql`update price_overrides set prices = null`, sql`delete from price_overrides`];
      for (const edit of edits) await expect(edit.execute(bench.deps.sql.db)).rejects.toThrow('append-only');
      expect(await rowsOf()).toEqual(before);
    });

    test('of ten changes at once on one revision one is made', async () => {
      const { etag } = await set('6');
      const raced = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          set(`${index + 10}`, { headers: { 'if-match': etag ?? '' } }),
        ),
      );
      expect(raced.map(reply => reply.status).sort()).toEqual([201, ...Array(9).fill(412)]);
    });

    test('a list in the format of LiteLLM is in force at once; what is in force already keeps its version', async () => {
      const entry = (input: number) => ({
        litellm_provider: 'anthropic',
        input_cost_per_token: input,
        output_cost_per_token: 1e-5,
      });
      const many = Array.from({ length: 1200 }, (_, index) => [`model-${index}`, entry(1e-6)] as const);
      const load = (extra: object) =>
        call({ method: 'POST', path: '/prices/import', body: { ...Object.fromEntries(many), ...extra } });
      const free = { 'free-model': { ...entry(0) }, sample_spec: { ...entry(1e300) } };
      const first = await load(free);
      expect(first.body).toMatchObject({ listed: 1202, priced: 1200, changed: 1200 });
      const again = await load({ 'model-7': entry(2e-6), ...free });
      expect(again.body).toMatchObject({ priced: 1200, changed: 1 });
      expect((await load({ 'model-7': entry(2e-6) })).body).toEqual({
        listed: 1200,
        priced: 1200,
        changed: 0,
      });

      const shownAt = async (model: string) => (await call({ path: `/prices/anthropic%2F${model}` })).body;
      expect(await shownAt('model-7')).toMatchObject({ version: again.body.version, prices: { input: '2' } });
      expect(await shownAt('model-8')).toMatchObject({ version: first.body.version, prices: { input: '1' } });
      expect(await shownAt('free-model')).toMatchObject({ status: 404 });
    });

    test('[S4] only keys of the installation set prices; each change is one audit entry', async () => {
      const owner = await bench.deps.createKey({ roles: ['owner'] });
      const audited = async () =>
        (await bench.audited()).filter(({ action }) => action.startsWith('price.')).length;
      const before = await audited();
      expect((await set('1', { key: owner })).body.reason).toBe('role_required');
      expect((await call({ key: owner, path })).status).toBe(200);
      await set('7');
      expect(await audited()).toBe(before + 1);
    });

    test.each([
      { vendor: 'a/b', model: 'm', prices: prices('1') },
      { vendor: 'a', model: 'm', prices: {} },
      { vendor: 'a', model: 'm', prices: { context_tokens: 5 } },
      { vendor: 'a', model: 'm', prices: { input: 'free' } },
      { vendor: 'a', model: 'm', prices: { input: '1', outptu: '2' } },
    ])('%j is refused', async body => {
      const reply = await call({ method: 'POST', path: '/prices', body });
      expect(reply.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
    });

    test('another process sees a change, and begins with what was set before it began', async () => {
      const other = await createTestDeps({
        name: 'ai-gateway',
        config: { ...shared, data_dir: bench.deps.dataDir },
      });
      try {
        const set1 = await set('21');
        const seen = () => other.priceOverrides.find('openai', 'gpt-5-mini')?.version;
        await expect.poll(seen, { timeout: 20_000 }).toBe(set1.body.version);
        const set2 = await set('22');
        await expect.poll(seen, { timeout: 20_000 }).toBe(set2.body.version);
      } finally {
        await other.close();
      }
      const late = await createTestDeps({
        name: 'ai-gateway',
        config: { ...shared, data_dir: bench.deps.dataDir },
      });
      expect(costOf(usage, late.priceOverrides.find('openai', 'gpt-5-mini'))).toBe(22_000_000n);
      await late.close();
    });
  });
}

priceTests('SQLite', async () => ({}));
if (!isMissing(postgres)) {
  priceTests('PostgreSQL', async () => ({ store: { url: await postgres.createDatabase() } }));
}
