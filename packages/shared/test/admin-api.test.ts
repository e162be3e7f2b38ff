import { adminRoutes } from '@strata/shared/admin/admin-api.ts';
import { type AdminRoute, defineRoute } from '@strata/shared/admin/admin-route.ts';
import { listEntries } from '@strata/shared/audit/audit-query.ts';
import { type Role, roles } from '@strata/shared/identity/tree.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { type AdminBench, type AdminCall, openAdminBench } from './support/admin-bench.ts';

const postgres = await startPostgres();
afterAll(async () => {
  if (!isMissing(postgres)) await postgres.close();
});

const own: AdminRoute = defineRoute({
  method: 'GET',
  path: '/gadgets',
  operation: 'gadget.list',
  summary: 'A resource of one gateway.',
  roles: ['owner'],
  answer: z.object({ items: z.array(z.string()) }),
  handle: async () => ({ body: { items: ['one'] } }),
});

let serial = 0;
const unique = (prefix: string) => `${prefix}-${++serial}`;

/** What a request to a route needs to be well-formed, so that only the role decides. */
const bodies: Readonly<Record<string, () => unknown>> = {
  'organisation.create': () => ({ id: unique('org') }),
  'team.create': () => ({ id: unique('team') }),
  'project.create': () => ({ id: unique('project'), team: 'default' }),
  'principal.create': () => ({ id: unique('user'), project: 'default' }),
  'key.create': () => ({ name: 'k', principal: 'tester' }),
  'policy.explain': () => ({ key_id: 'unknown', kind: 'model', name: 'x' }),
  'price.set': () => ({ vendor: 'openai', model: unique('model'), prices: { input: '1', output: '2' } }),
  'limit.create': () => ({ name: unique('limit'), subject: 'team:default', unit: 'requests', amount: 5 }),
  'budget.create': () => ({ subject: 'team:default', limit_usd: '5', window: { type: 'month' } }),
};

function adminTests(name: string, config: () => Promise<Record<string, unknown>>): void {
  describe(`the admin API on ${name}`, () => {
    let bench: AdminBench;
    /** A key of each role in the organisation `default`, one of nobody, and an owner elsewhere. */
    const keys = new Map<Role | 'none' | 'elsewhere', string>();
    const keyOf = (who: Role | 'none' | 'elsewhere') => keys.get(who) ?? '';
    let routes: readonly AdminRoute[];

    beforeAll(async () => {
      bench = await openAdminBench({
        config: {
          ...(await config()),
          identity: { policies: [{ name: 'no-claude', effect: 'deny', names: ['claude*'], when: 'true' }] },
        },
        more: [own],
      });
      routes = [...adminRoutes(bench.deps), own];
      for (const role of roles) keys.set(role, await bench.deps.createKey({ name: role, roles: [role] }));
      keys.set('none', await bench.deps.createKey());
      keys.set('elsewhere', await bench.deps.createKey({ tenant: 'elsewhere', roles: ['owner'] }));
    });
    afterAll(() => bench.close());

    const call = (call: Partial<AdminCall> & { path: string }) =>
      bench.call({ key: bench.deps.adminKey, ...call });
    const post = (path: string, body: unknown, more: Partial<AdminCall> = {}) =>
      call({ method: 'POST', path, body, ...more });
    const makeKey = async (more: object = {}) =>
      (await post('/keys', { name: unique('key'), principal: 'tester', ...more })).body;

    test('[S4] every route is open to its roles and to nobody else', async () => {
      const wrong: string[] = [];
      for (const route of routes) {
        for (const who of [...roles, 'none' as const]) {
          const path = route.path.replace(':id', 'unknown');
          const { status, body } = await bench.call({
            key: keyOf(who),
            method: route.method,
            path,
            ...(route.body !== undefined && { body: bodies[route.operation]?.() ?? {} }),
            headers: { 'if-match': '*' },
          });
          const mayCall = who !== 'none' && route.roles.includes(who) && route.installationOnly !== true;
          const isRefused = status === 403 && body.reason === 'role_required';
          if (mayCall === isRefused || (mayCall && ![200, 201, 204, 404].includes(status)))
            wrong.push(`${who} ${route.operation}: ${status} ${body.reason}`);
        }
      }
      expect(wrong).toEqual([]);
    });

    test('[S4] every route refuses no key, a wrong key, and an envelope that acts for an owner', async () => {
      const envelope = await bench.deps.envelopes.issue(
        {
          ...(await bench.deps.authenticate({ 'x-api-key': bench.deps.adminKey })),
          subject: 'tester',
          actors: [],
          grant: undefined,
          runId: undefined,
          taskId: undefined,
          deadlineAtMs: undefined,
          depth: 1,
        },
        'ai-gateway',
      );
      const credentials: Record<string, string>[] = [{}, { 'x-strata-envelope': envelope }];
      for (const route of routes) {
        const url = `${bench.url}/admin/v1${route.path.replace(':id', 'x')}`;
        const statuses = await Promise.all(
          credentials.map(async headers => (await fetch(url, { method: route.method, headers })).status),
        );
        expect(
          statuses.every(status => [401, 403, 429].includes(status)),
          `${route.operation} ${statuses}`,
        ).toBe(true);
      }
    });

    test('[S8] what belongs to another organisation is answered byte for byte like what does not exist', async () => {
      const key = await makeKey();
      const budget = (
        await post('/budgets', { subject: 'team:a', limit_usd: '1', window: { type: 'total' } })
      ).body;
      const limit = (
        await post('/limits', { name: 'foreign', subject: 'team:a', unit: 'requests', amount: 1 })
      ).body;
      await post('/teams', { id: 'foreign-team' });
      await post('/projects', { id: 'foreign-project', team: 'foreign-team' });
      await post('/principals', { id: 'foreign-user', project: 'foreign-project' });
      const foreign: Readonly<Record<string, string>> = {
        '/keys': String(key.id),
        '/budgets': String(budget.id),
        '/limits': String(limit.id),
        '/teams': 'foreign-team',
        '/projects': 'foreign-project',
        '/principals': 'foreign-user',
        '/organisations': 'default',
      };
      const ask = async (route: AdminRoute, id: string) => {
        const { status, text, headers } = await bench.call({
          key: keyOf('elsewhere'),
          method: route.method,
          path: route.path.replace(':id', encodeURIComponent(id)),
          headers: { 'if-match': '*' },
          ...(route.body !== undefined && { body: {} }),
        });
        const shown = [...headers].filter(([header]) => !['date', 'x-request-id'].includes(header));
        return JSON.stringify([status, text.replace(/"request_id":"[^"]+"/, ''), shown]);
      };
      const withId = routes.filter(route => route.path.includes(':id'));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...withId.map(route => route.operation)),
          fc.string({ minLength: 1, maxLength: 20 }),
          async (operation, random) => {
            const route = withId.find(each => each.operation === operation);
            if (route === undefined) return;
            const collection = route.path.split('/:id')[0] ?? '';
            const id = foreign[collection] ?? '';
            fc.pre(id !== '' && /^[\w-]+$/.test(random));
            const answers = await Promise.all([ask(route, id), ask(route, `x${random}`)]);
            expect(answers[0]).toBe(answers[1]);
            expect(answers[0]).toContain('404');
          },
        ),
        { numRuns: 60 },
      );
      for (const organisation of ['default', 'no-such'])
        expect(
          (await bench.call({ key: keyOf('elsewhere'), path: `/keys?organisation=${organisation}` })).body,
        ).toMatchObject({ status: 404, detail: 'There is no such organisation.' });
      expect((await call({ path: `/keys/${key.id}` })).status).toBe(200);
      const lists = ['/keys', '/teams', '/projects', '/principals', '/budgets', '/limits', '/audit'];
      for (const path of lists) {
        const { text } = await bench.call({ key: keyOf('elsewhere'), path });
        for (const id of Object.values(foreign)) if (id !== 'default') expect(text).not.toContain(id);
      }
    });

    test('the life of a key: its secret is in two answers and nowhere else', async () => {
      const made = await post('/keys', {
        name: 'ci',
        principal: 'bot',
        principal_kind: 'service',
        team: 'builders',
        project: 'ci',
        scopes: { models: ['gpt-*', '!gpt-5-pro'] },
        tags: ['nightly'],
        metadata: { owner: 'ada' },
        expires_at: '2100-01-01T00:00:00Z',
      });
      const { id, key: secret } = made.body;
      expect(made.status).toBe(201);
      expect(made.etag).toBe('"1"');
      expect(made.headers.get('cache-control')).toBe('no-store');
      const shown = await call({ path: `/keys/${id}` });
      expect(shown.body).toMatchObject({
        team: 'builders',
        principal: 'bot',
        tags: ['nightly'],
        is_admin: false,
      });
      expect(shown.text).not.toContain(String(secret));
      expect((await bench.deps.authenticate({ 'x-api-key': String(secret) })).principal).toBe('bot');

      const rotated = await post(`/keys/${id}/rotate`, { grace_seconds: 0 });
      expect(rotated.body.key).not.toBe(secret);
      const changed = await call({
        method: 'PATCH',
        path: `/keys/${id}`,
        body: { name: 'renamed', expires_at: null },
        headers: { 'if-match': rotated.etag ?? '' },
      });
      expect(changed.body).toMatchObject({ name: 'renamed' });
      expect(changed.body.expires_at).toBeUndefined();
      expect((await post(`/keys/${id}/disable`, undefined)).status).toBe(204);
      expect((await call({ path: `/keys/${id}` })).body.disabled_at).toBeDefined();
      expect(
        (await call({ method: 'DELETE', path: `/keys/${id}`, headers: { 'if-match': '*' } })).status,
      ).toBe(204);
      expect((await call({ path: `/keys/${id}` })).status).toBe(404);

      const entries = (await bench.audited()).filter(entry => entry.target?.id === id);
      expect(entries.map(entry => entry.action)).toEqual([
        'key.create',
        'key.rotate',
        'key.change',
        'key.disable',
        'key.delete',
      ]);
      const dump = JSON.stringify([
        entries,
        (await sql`select * from admin_requests`.execute(bench.deps.sql.db)).rows,
        (await sql`select * from audit_sensitive`.execute(bench.deps.sql.db)).rows,
      ]);
      for (const each of [secret, rotated.body.key]) expect(dump).not.toContain(String(each));
    });

    test('a key of the installation is out of reach for an owner of its organisation', async () => {
      const admin = await makeKey({ is_admin: true });
      const owner = keyOf('owner');
      const attempts = [
        () => post('/keys', { name: 'x', principal: 'y', is_admin: true }, { key: owner }),
        () => post(`/keys/${admin.id}/rotate`, {}, { key: owner }),
        () => post(`/keys/${admin.id}/disable`, undefined, { key: owner }),
        () => call({ key: owner, method: 'DELETE', path: `/keys/${admin.id}`, headers: { 'if-match': '*' } }),
      ];
      for (const attempt of attempts) expect((await attempt()).body.reason).toBe('role_required');
    });

    test('a member sees its own team and nothing else', async () => {
      await post('/teams', { id: 'ours' });
      await post('/projects', { id: 'our-project', team: 'ours' });
      await post('/principals', { id: 'our-user', project: 'our-project' });
      const mine = await makeKey({
        principal: 'our-user',
        team: 'ours',
        project: 'our-project',
        roles: ['member'],
      });
      const others = await makeKey();
      expect(mine).toMatchObject({ team: 'ours' });
      const key = String(mine.key);
      const idsAt = async (path: string) =>
        ((await bench.call({ key, path })).body.items as { id: string }[]).map(item => item.id);
      expect(await idsAt('/keys')).toEqual([mine.id]);
      expect(await idsAt('/teams')).toEqual(['ours']);
      expect(await idsAt('/projects')).toEqual(['our-project']);
      expect(await idsAt('/principals')).toEqual(['our-user']);
      expect((await bench.call({ key, path: `/keys/${others.id}` })).status).toBe(404);
      expect((await bench.call({ key, path: '/teams/default' })).status).toBe(404);
      expect((await bench.call({ key, path: '/usage?team=default' })).body.reason).toBe('role_required');
      expect((await bench.call({ key, path: '/usage' })).status).toBe(200);
    });

    test('a change needs the revision it was decided on; of two at once one is made', async () => {
      const team = await post('/teams', { id: unique('team') });
      const path = `/teams/${team.body.id}`;
      const change = (etag: string | undefined, name: string) =>
        call({
          method: 'PATCH',
          path,
          body: { name },
          headers: etag === undefined ? {} : { 'if-match': etag },
        });
      expect((await change(undefined, 'x')).status).toBe(428);
      expect((await change('W/"1"', 'x')).status).toBe(412);
      expect((await change('"7"', 'x')).body.reason).toBe('revision_mismatch');
      const raced = await Promise.all(
        Array.from({ length: 10 }, (_, index) => change('"1"', `name ${index}`)),
      );
      expect(raced.map(reply => reply.status).sort()).toEqual([200, ...Array(9).fill(412)]);
      const [winner] = raced.filter(reply => reply.status === 200);
      expect((await call({ path })).body.name).toBe(winner?.body.name);
      expect(winner?.etag).toBe('"2"');
    });

    test('a change that is sent again under one `Idempotency-Key` is made once and answered alike', async () => {
      const headers = { 'idempotency-key': unique('once') };
      const body = { name: unique('key'), principal: 'tester' };
      const replies = await Promise.all(Array.from({ length: 12 }, () => post('/keys', body, { headers })));
      const made = replies.filter(reply => reply.status === 201);
      const waiting = replies.filter(reply => reply.status === 409);
      expect(made.length).toBeGreaterThan(0);
      expect(new Set(waiting.map(reply => reply.body.reason)).size).toBeLessThanOrEqual(1);
      expect(new Set(made.map(reply => reply.text)).size).toBe(1);
      const again = await post('/keys', body, { headers });
      expect([again.status, again.text, again.etag]).toEqual([201, made[0]?.text, '"1"']);
      expect(again.headers.get('idempotent-replayed')).toBe('true');
      const entries = (await bench.audited()).filter(entry => entry.target?.id === again.body.id);
      expect(entries).toHaveLength(1);

      const other = await post('/keys', { ...body, name: 'other' }, { headers });
      expect(other.body).toMatchObject({ status: 409, reason: 'idempotency_key_reused' });
      const somebody = await post('/keys', body, { headers, key: keyOf('owner') });
      expect(somebody.body.id).not.toBe(again.body.id);
      const invalid = await post('/keys', body, { headers: { 'idempotency-key': 'x'.repeat(256) } });
      expect(invalid.body.reason).toBe('idempotency_key_invalid');
    });

    test('a refused change leaves its `Idempotency-Key` free', async () => {
      const headers = { 'idempotency-key': unique('refused') };
      const id = unique('team');
      await post('/teams', { id });
      expect((await post('/teams', { id }, { headers })).body.reason).toBe('node_exists');
      expect((await post('/teams', { id: unique('team') }, { headers })).status).toBe(201);
    });

    test('[I18] every change is exactly one entry, every refused one none', async () => {
      const adminEntries = async () =>
        (await bench.audited()).filter(entry => entry.category === 'admin').map(entry => entry.action);
      const before = (await adminEntries()).length;
      const id = unique('team');
      await post('/teams', { id });
      await post('/teams', { id });
      await call({
        method: 'PATCH',
        path: `/teams/${id}`,
        body: { disabled: true },
        headers: { 'if-match': '"1"' },
      });
      await call({
        method: 'PATCH',
        path: `/teams/${id}`,
        body: { name: 'x' },
        headers: { 'if-match': '"1"' },
      });
      const budget = await post('/budgets', {
        subject: `team:${id}`,
        limit_usd: '2.50',
        window: { type: 'day' },
      });
      const path = `/budgets/${budget.body.id}`;
      await call({ method: 'PATCH', path, body: { limit_usd: '3' }, headers: { 'if-match': '"1"' } });
      await call({ method: 'DELETE', path, headers: { 'if-match': '"1"' } });
      await call({ method: 'DELETE', path, headers: { 'if-match': '"2"' } });
      await post('/keys', { name: '', principal: 'tester' });
      expect((await adminEntries()).slice(before)).toEqual([
        'team.create',
        'team.change',
        'budget.create',
        'budget.change',
        'budget.delete',
      ]);
    });

    test('a list is read whole, each item once, while others are added', async () => {
      const organisation = unique('pages');
      await post('/organisations', { id: organisation });
      const add = (id: string) => post(`/teams?organisation=${organisation}`, { id });
      const first = Array.from({ length: 25 }, (_, index) => `m-${String(index).padStart(2, '0')}`);
      for (const id of first) await add(id);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const next = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const { body } = await call({ path: `/teams?organisation=${organisation}&limit=4${next}` });
        seen.push(...(body.items as { id: string }[]).map(item => item.id));
        cursor = body.next_cursor as string | undefined;
        await add(`a-${seen.length}`);
        await add(`z-${seen.length}`);
      } while (cursor !== undefined && seen.length < 200);
      expect(new Set(seen).size).toBe(seen.length);
      expect(first.filter(id => !seen.includes(id))).toEqual([]);
    });

    test('a cursor opens in its own list, filter and organisation only', async () => {
      const { body } = await call({ path: '/keys?limit=1' });
      const cursor = encodeURIComponent(String(body.next_cursor));
      expect((await call({ path: `/keys?limit=2&cursor=${cursor}` })).status).toBe(200);
      for (const path of [
        `/teams?cursor=${cursor}`,
        `/keys?principal=tester&cursor=${cursor}`,
        `/keys?organisation=elsewhere&cursor=${cursor}`,
        `/keys?cursor=${cursor.slice(0, -2)}`,
        '/keys?cursor=x',
      ])
        expect((await call({ path })).body.reason, path).toBe('invalid_cursor');
    });

    test('the audit log is read by filter, and exported as JSON lines that verify', async () => {
      const made = await makeKey();
      const found = await call({ path: `/audit?target=key:${made.id}&action=key.create` });
      expect(found.body.items).toMatchObject([{ record: { action: 'key.create', principal: 'tester' } }]);
      expect((await call({ path: '/audit?principal=nobody' })).body.items).toEqual([]);
      const { text, headers } = await call({ path: '/audit?format=jsonl' });
      expect(headers.get('content-type')).toBe('application/jsonl; charset=utf-8');
      const lines = text
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
      expect(lines.map(line => line.seq)).toEqual(lines.map((_, index) => index + 1));
      expect(lines.some(line => 'values' in line)).toBe(false);
      const withValues = await call({ path: '/audit?values=true&limit=1' });
      expect(withValues.body.items).toMatchObject([{ values: { address: '127.0.0.1' } }]);
    });

    test('wrong keys are entered in the chain of the installation, which only its keys can read', async () => {
      await fetch(`${bench.url}/admin/v1/keys`, { headers: { authorization: 'Bearer sk-strata-nobody' } });
      await bench.deps.audit.flush();
      const path = '/audit?chain=installation&category=auth_failure';
      const [newest] = (await call({ path })).body.items as unknown[];
      expect(newest).toMatchObject({
        record: { action: 'caller.authenticate', target: { id: 'GET /admin/v1/keys' } },
      });
      expect((await bench.call({ key: keyOf('owner'), path })).status).toBe(404);
      await bench.call({ key: keyOf('none'), path: '/keys' });
      await bench.deps.audit.flush();
      const denied = await call({ path: '/audit?category=policy_denial&target=route:GET%20/admin/v1/keys' });
      const [refused] = denied.body.items as unknown[];
      expect(refused).toMatchObject({ record: { outcome: 'refused', reason: 'role_required' } });
    });

    test.each([
      ['POST', '/keys', { name: 'x' }, 'principal'],
      ['POST', '/keys', { name: 'x', principal: 'y', colour: 'red' }, ''],
      ['POST', '/keys', { name: 'x', principal: 'y', expires_at: 'tomorrow' }, 'expires_at'],
      ['POST', '/budgets', { subject: 'team:a', limit_usd: 5, window: { type: 'day' } }, 'limit_usd'],
      ['POST', '/budgets', { subject: 'planet:a', limit_usd: '5', window: { type: 'day' } }, 'subject'],
      ['POST', '/keys', { name: 'a\0b', principal: 'y' }, 'name'],
      ['POST', '/keys', { name: 'a', principal: 'y', metadata: { at: { '\0': 1 } } }, 'metadata.at'],
      ['POST', '/policy/explain', { key_id: '\0', kind: 'model', name: 'x' }, 'key_id'],
      ['GET', '/keys/%00', undefined, 'id'],
      ['GET', '/usage?team=%00', undefined, 'team'],
      ['GET', '/keys?organisation=%00', undefined, 'organisation'],
      ['GET', '/keys?limit=0', undefined, 'limit'],
      ['GET', '/keys?colour=red', undefined, ''],
      ['GET', '/usage?by=colour', undefined, 'by'],
      ['GET', '/usage?by=team,team', undefined, 'by'],
      ['GET', '/usage?month=next', undefined, 'month'],
      ['GET', '/usage?month=last&time_zone=Mars', undefined, 'time_zone'],
      ['GET', '/audit?from=yesterday', undefined, 'from'],
    ])('%s %s %j is refused, saying where', async (method, path, body, at) => {
      const reply = await call({ method, path, body });
      expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(reply.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
      expect(reply.body.issues).toMatchObject([{ path: at }]);
    });

    test('[S10] whatever headers claim, what is entered is the address of the socket and the organisation of the key', async () => {
      const id = unique('spoof');
      const claimed = '203.0.113.7';
      const headers = {
        'x-forwarded-for': claimed,
        'x-real-ip': claimed,
        'x-client-ip': claimed,
        'true-client-ip': claimed,
        forwarded: `for=${claimed};by=${claimed}`,
        'x-tenant': 'acme',
        'x-organisation': 'acme',
        'x-strata-tenant': 'acme',
      };
      const made = await call({ method: 'POST', path: '/teams', body: { id }, headers });
      expect(made.body).toMatchObject({ organisation: 'default' });
      const filter = { tenant: 'default', target: `team:${id}` };
      const [entry] = await listEntries(bench.deps.sql.db, filter, { limit: 2, withValues: true });
      expect(entry?.values).toMatchObject({ address: '127.0.0.1' });
      expect(JSON.stringify(entry)).not.toContain(claimed);
    });

    test('a budget of the configuration is shown and is changed there', async () => {
      await bench.deps.budgetStore.create({
        id: 'config:house',
        tenant: 'default',
        subject: { kind: 'team', id: 'a' },
        limitNanoUsd: 1n,
        window: { type: 'total' },
        mode: 'soft',
      });
      const path = '/budgets/config:house';
      expect((await call({ path })).body).toMatchObject({
        subject: 'team:a',
        limit_usd: '0.000000001',
        alerts: [],
      });
      const charge = { budgetId: 'config:house', grantId: undefined, period: 0, nanoUsd: 1n };
      await bench.deps.budgetStore.charge([charge]);
      expect((await call({ path })).body).toMatchObject({
        spent_usd: '0.000000001',
        alerts: [50, 80, 100],
      });
      const any = { 'if-match': '*' };
      for (const more of [{ method: 'PATCH', body: { limit_usd: '9' } }, { method: 'DELETE' }])
        expect((await call({ ...more, path, headers: any })).body).toMatchObject({
          status: 409,
          reason: 'budget_in_config',
        });
      expect(await bench.deps.budgetStore.find('config:house')).toMatchObject({ limitNanoUsd: 1n });
      await bench.deps.budgetStore.remove('config:house');
    });

    test('the usage report is JSON, or CSV', async () => {
      expect((await call({ path: '/usage?by=team' })).body).toMatchObject({
        by: ['team'],
        is_complete: true,
        items: [],
      });
      expect((await call({ path: '/usage?by=run,tag,day' })).body).toMatchObject({
        by: ['run', 'tag', 'day'],
      });
      const csv = await call({ path: '/usage?format=csv&by=day' });
      expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
      expect(csv.text).toMatch(/^day,attempts,/);
      expect((await call({ path: '/usage?format=csv&by=team,model,day' })).text).toMatch(
        /^team,model,day,attempts,/,
      );
      const month = '/usage?by=model&team=support&model=claude*&month=2026-10';
      expect((await call({ path: `${month}&time_zone=Europe/Berlin` })).body).toMatchObject({
        from: '2026-09-30T22:00:00.000Z',
        to: '2026-10-31T23:00:00.000Z',
      });
      const both = await call({ path: `${month}&from=2026-10-01T00:00:00Z` });
      expect(both.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
      const prices = await call({ path: '/prices?pattern=claude&limit=3' });
      expect(prices.body).toMatchObject({ source: expect.any(String), next_cursor: expect.any(String) });
    });

    test('a policy decision is explained without being made', async () => {
      const made = await makeKey({ scopes: { models: ['gpt-*'] } });
      const explain = (more: object) =>
        post('/policy/explain', { key_id: made.id, kind: 'model', name: 'gpt-5-mini', ...more });
      expect((await explain({})).body).toMatchObject({ is_allowed: true, rule: 'scopes.models' });
      expect((await explain({ name: 'claude' })).body).toMatchObject({
        is_allowed: false,
        reason: 'not_in_scopes',
        findings: [{ rule: 'no-claude', effect: 'deny', is_about: true, result: 'holds' }],
      });
      expect((await explain({ key_id: 'key_unknown' })).body).toMatchObject({ status: 404 });
      const before = (await bench.audited()).length;
      const caller = await bench.deps.authenticate({ 'x-api-key': String(made.key) });
      const resource = { kind: 'model', name: 'claude' } as const;
      expect(() => bench.deps.policy.require(caller, resource, 'openai-chat')).toThrow('may not be used');
      expect((await bench.audited()).slice(before)).toMatchObject([
        {
          category: 'policy_denial',
          action: 'model.use',
          reason: 'not_in_scopes',
          key_id: made.id,
          target: { type: 'model', id: 'claude' },
          details: { rule: 'scopes.models', operation: 'openai-chat' },
        },
      ]);
      expect((await call({ path: '/policies' })).body.items).toMatchObject([
        { name: 'no-claude', effect: 'deny' },
      ]);
    });

    test('the document names every route, and what a gateway adds is a route like all others', async () => {
      const named = Object.values(bench.openApi.paths).flatMap(path => Object.values(path));
      expect(named.map(operation => operation.operationId).sort()).toEqual(
        routes.map(route => route.operation).sort(),
      );
      expect(bench.openApi.openapi).toBe('3.1.0');
      expect((await call({ path: '/gadgets' })).body).toEqual({ items: ['one'] });
      expect((await call({ path: '/no/such' })).body.reason).toBe('unknown_route');
    });
  });
}

adminTests('SQLite', async () => ({}));
if (isMissing(postgres)) test.skip(`the admin API on PostgreSQL: ${postgres.missing}`, () => {});
else adminTests('PostgreSQL', async () => ({ store: { url: await postgres.createDatabase() } }));
