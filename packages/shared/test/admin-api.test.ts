import { adminRoutes } from '@strata/shared/admin/admin-api.ts';
import { type AdminRoute, defineRoute } from '@strata/shared/admin/admin-route.ts';
import { roles } from '@strata/shared/identity/tree.ts';
import fc from 'fast-check';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { adminSuite, unique } from './support/admin-suite.ts';

const own: AdminRoute = defineRoute({
  method: 'GET',
  path: '/gadgets',
  operation: 'gadget.list',
  summary: 'A resource of one gateway.',
  roles: ['owner'],
  answer: z.object({ items: z.array(z.string()) }),
  handle: async () => ({ body: { items: ['one'] } }),
});

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
  'budget.reconcile': () => ({ lost_usd: '0', spent_usd: '0' }),
  'budget.create': () => ({ subject: 'team:default', limit_usd: '5', window: { type: 'month' } }),
};

await adminSuite(
  'the admin API',
  suite => {
    const routes = () => [...adminRoutes(suite.bench.deps), own];
    const { keyOf, call, post, makeKey } = suite;

    test('[S4] every route is open to its roles and to nobody else', async () => {
      const wrong: string[] = [];
      for (const route of routes()) {
        for (const who of [...roles, 'none' as const]) {
          const path = route.path.replace(':id', 'unknown');
          const { status, body } = await suite.bench.call({
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
      const envelope = await suite.bench.deps.envelopes.issue(
        {
          ...(await suite.bench.deps.authenticate({ 'x-api-key': suite.bench.deps.adminKey })),
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
      for (const route of routes()) {
        const url = `${suite.bench.url}/admin/v1${route.path.replace(':id', 'x')}`;
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
        const { status, text, headers } = await suite.bench.call({
          key: keyOf('elsewhere'),
          method: route.method,
          path: route.path.replace(':id', encodeURIComponent(id)),
          headers: { 'if-match': '*' },
          ...(route.body !== undefined && { body: bodies[route.operation]?.() ?? {} }),
        });
        const shown = [...headers].filter(([header]) => !['date', 'x-request-id'].includes(header));
        return JSON.stringify([status, text.replace(/"request_id":"[^"]+"/, ''), shown]);
      };
      const withId = routes().filter(route => route.path.includes(':id'));
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
          (await suite.bench.call({ key: keyOf('elsewhere'), path: `/keys?organisation=${organisation}` }))
            .body,
        ).toMatchObject({ status: 404, detail: 'There is no such organisation.' });
      expect((await call({ path: `/keys/${key.id}` })).status).toBe(200);
      const lists = ['/keys', '/teams', '/projects', '/principals', '/budgets', '/limits', '/audit'];
      for (const path of lists) {
        const { text } = await suite.bench.call({ key: keyOf('elsewhere'), path });
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
      expect((await suite.bench.deps.authenticate({ 'x-api-key': String(secret) })).principal).toBe('bot');

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

      const entries = (await suite.bench.audited()).filter(entry => entry.target?.id === id);
      expect(entries.map(entry => entry.action)).toEqual([
        'key.create',
        'key.rotate',
        'key.change',
        'key.disable',
        'key.delete',
      ]);
      const dump = JSON.stringify([
        entries,
        (await sql`select * from admin_requests`.execute(suite.bench.deps.sql.db)).rows,
        (await sql`select * from audit_sensitive`.execute(suite.bench.deps.sql.db)).rows,
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
        ((await suite.bench.call({ key, path })).body.items as { id: string }[]).map(item => item.id);
      expect(await idsAt('/keys')).toEqual([mine.id]);
      expect(await idsAt('/teams')).toEqual(['ours']);
      expect(await idsAt('/projects')).toEqual(['our-project']);
      expect(await idsAt('/principals')).toEqual(['our-user']);
      expect((await suite.bench.call({ key, path: `/keys/${others.id}` })).status).toBe(404);
      expect((await suite.bench.call({ key, path: '/teams/default' })).status).toBe(404);
      expect((await suite.bench.call({ key, path: '/usage?team=default' })).body.reason).toBe(
        'role_required',
      );
      expect((await suite.bench.call({ key, path: '/usage' })).status).toBe(200);
    });

    test('the document names every route, and what a gateway adds is a route like all others', async () => {
      const named = Object.values(suite.bench.openApi.paths).flatMap(path => Object.values(path));
      expect(named.map(operation => operation.operationId).sort()).toEqual(
        routes()
          .map(route => route.operation)
          .sort(),
      );
      expect(suite.bench.openApi.openapi).toBe('3.1.0');
      expect((await call({ path: '/gadgets' })).body).toEqual({ items: ['one'] });
      expect((await call({ path: '/no/such' })).body.reason).toBe('unknown_route');
    });
  },
  { more: [own] },
);
