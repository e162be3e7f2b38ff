import { subjectKinds } from '@strata/shared/money/subject.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminBench, type AdminCall, openAdminBench } from './support/admin-bench.ts';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

const configured = { name: 'house', subject: 'key:*', unit: 'requests', amount: 1000, per: 'hour' };
const hourly = { subject: 'team:support', unit: 'requests', amount: 2, per: 'hour' };

function limitTests(engine: string, config: () => Promise<Record<string, unknown>>): void {
  describe(`limits over the admin API on ${engine}`, () => {
    let bench: AdminBench;
    let shared: Record<string, unknown>;

    beforeAll(async () => {
      shared = { ...(await config()), limits: [configured] };
      bench = await openAdminBench({ config: shared });
    });
    afterAll(() => bench.close());

    const call = (more: Partial<AdminCall> & { path: string }) =>
      bench.call({ key: bench.deps.adminKey, ...more });
    const set = (body: object, more: Partial<AdminCall> = {}) =>
      call({ method: 'POST', path: '/limits', body, ...more });
    const change = (id: unknown, body: object, etag: string) =>
      call({ method: 'PATCH', path: `/limits/${id}`, body, headers: { 'if-match': etag } });
    const remove = (id: unknown, etag = '*') =>
      call({ method: 'DELETE', path: `/limits/${id}`, headers: { 'if-match': etag } });

    /** How many of so many requests of the subject a process lets through. */
    const passedOf = async (deps: TestDeps, count: number, id: string) => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: count }, () =>
          deps.limiter.admit({
            tenant: 'default',
            subjects: [{ kind: 'team', id }],
            amounts: () => ({ requests: 1 }),
          }),
        ),
      );
      return outcomes.filter(({ status }) => status === 'fulfilled').length;
    };

    test('a limit is set, read, changed on its revision and taken back; each is one audit entry', async () => {
      const made = await set({ ...hourly, name: 'life' });
      expect(made.status).toBe(201);
      expect(made.body).toMatchObject({
        name: 'life',
        organisation: 'default',
        subject: 'team:support',
        each: false,
        unit: 'requests',
        amount: 2,
        per: 'hour',
        source: 'admin',
        revision: 1,
      });
      const { id } = made.body;
      const shown = await call({ path: `/limits/${id}` });
      expect([shown.body, shown.etag]).toEqual([made.body, made.etag]);
      const changed = await change(id, { amount: 5, per: 'day' }, made.etag ?? '');
      expect(changed.body).toMatchObject({ amount: 5, per: 'day', revision: 2 });
      expect((await change(id, { amount: 6 }, made.etag ?? '')).body.reason).toBe('revision_mismatch');
      expect((await remove(id, made.etag ?? '')).status).toBe(412);
      expect((await remove(id, changed.etag ?? '')).status).toBe(204);
      expect((await call({ path: `/limits/${id}` })).status).toBe(404);
      expect((await remove(id)).status).toBe(404);
      const entries = (await bench.audited()).filter(({ action }) => action.startsWith('limit.'));
      expect(entries.map(({ action }) => action)).toEqual(['limit.create', 'limit.change', 'limit.delete']);
      expect(entries[1]).toMatchObject({ target: { type: 'limit', id }, details: { amount: 5, per: 'day' } });
    });

    test('any subject can have one, also at a time; the configuration is shown beside them and is changed there', async () => {
      for (const kind of subjectKinds) {
        const { status } = await set({ ...hourly, name: `of-${kind}`, subject: `${kind}:x*` });
        expect(status).toBe(201);
      }
      await set({ name: 'room', subject: 'model:large', unit: 'concurrency', amount: 3 });
      const names: unknown[] = [];
      for (let next = ''; ; ) {
        const page = await call({ path: `/limits?limit=4${next}` });
        names.push(...(page.body.items as { name: string }[]).map(({ name }) => name));
        if (page.body.next_cursor === undefined) break;
        next = `&cursor=${encodeURIComponent(String(page.body.next_cursor))}`;
      }
      expect(names).toEqual(['house', ...subjectKinds.map(kind => `of-${kind}`), 'room']);
      expect((await call({ path: '/limits/config:house' })).body).toMatchObject({
        ...configured,
        source: 'config',
      });
      expect((await remove('config:house')).body).toMatchObject({ status: 409, reason: 'limit_in_config' });
    });

    test('[I7] a limit holds at once in every process, and a raised or removed one lets more through', async () => {
      const other = await createTestDeps({
        name: 'mcp-gateway',
        config: { ...shared, data_dir: bench.deps.dataDir },
      });
      try {
        for (const [index, deps] of [bench.deps, other].entries()) {
          const subject = `team:held-${index}`;
          const made = await set({ ...hourly, name: `held-${index}`, subject });
          /** Asks for nothing, so that nothing is counted. */
          const seen = async () => {
            const { headers } = await deps.limiter.admit({
              tenant: 'default',
              subjects: [{ kind: 'team', id: `held-${index}` }],
              amounts: () => ({ requests: 0 }),
            });
            return headers['ratelimit-policy'];
          };
          await expect.poll(seen, { timeout: 20_000 }).toBe(`"held-${index}";q=2;w=3600`);
          expect(await passedOf(deps, 10, `held-${index}`)).toBe(2);
          const raised = await change(made.body.id, { amount: 4 }, made.etag ?? '');
          await expect.poll(seen, { timeout: 20_000 }).toBe(`"held-${index}";q=4;w=3600`);
          expect(await passedOf(deps, 10, `held-${index}`)).toBe(0); // all of the bucket was used
          await change(made.body.id, { per: 'day' }, raised.etag ?? '');
          await expect.poll(() => passedOf(deps, 10, `held-${index}`), { timeout: 20_000 }).toBe(4);
          await remove(made.body.id);
          await expect.poll(() => passedOf(deps, 10, `held-${index}`), { timeout: 20_000 }).toBe(10);
        }
      } finally {
        await other.close();
      }
    });

    test('a name is taken once in an organisation; another organisation may have the same', async () => {
      await set({ ...hourly, name: 'twice' });
      expect((await set({ ...hourly, name: 'twice' })).body).toMatchObject({
        status: 409,
        reason: 'unique_violation',
      });
      const elsewhere = await bench.deps.createKey({ tenant: 'elsewhere', roles: ['operator'] });
      const other = await set({ ...hourly, name: 'twice' }, { key: elsewhere });
      expect([other.status, other.body.organisation]).toEqual([201, 'elsewhere']);
    });

    test('of ten changes at once on one revision one is made; a repeated request under one key makes one limit', async () => {
      const made = await set({ ...hourly, name: 'raced' });
      const raced = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          change(made.body.id, { amount: index + 10 }, made.etag ?? ''),
        ),
      );
      expect(raced.map(reply => reply.status).sort()).toEqual([200, ...Array(9).fill(412)]);
      const headers = { 'idempotency-key': 'set-once' };
      const twice = [
        await set({ ...hourly, name: 'once' }, { headers }),
        await set({ ...hourly, name: 'once' }, { headers }),
      ];
      expect(twice.map(reply => reply.status)).toEqual([201, 201]);
      expect(twice[1]?.body).toEqual(twice[0]?.body);
    });

    test.each([
      [{ ...hourly }, 'name'],
      [{ ...hourly, name: 'bad name' }, 'name'],
      [{ ...hourly, name: 'n', amount: 0 }, 'amount'],
      [{ ...hourly, name: 'n', amount: 1.5 }, 'amount'],
      [{ ...hourly, name: 'n', unit: 'bytes' }, 'unit'],
      [{ ...hourly, name: 'n', per: 'year' }, 'per'],
      [{ ...hourly, name: 'n', subject: 'planet:x' }, 'subject'],
    ])('%j is refused', async (body, param) => {
      const reply = await set(body);
      expect(reply.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
      expect(reply.text).toContain(param);
    });
  });
}

limitTests('SQLite', async () => ({}));
if (!isMissing(postgres)) {
  limitTests('PostgreSQL', async () => ({ store: { url: await postgres.createDatabase() } }));
}
