import { expect, test } from 'vitest';
import { adminSuite } from './support/admin-suite.ts';

await adminSuite('reports of the admin API', suite => {
  const { keyOf, call, post, makeKey } = suite;

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
    const head = await fetch(`${suite.bench.url}/admin/v1/audit?format=jsonl`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${suite.bench.deps.adminKey}` },
    });
    expect([head.status, head.headers.get('content-type')]).toEqual([200, headers.get('content-type')]);
    const withValues = await call({ path: '/audit?values=true&limit=1' });
    expect(withValues.body.items).toMatchObject([{ values: { address: '127.0.0.1' } }]);
  });

  test('wrong keys are entered in the chain of the installation, which only its keys can read', async () => {
    await fetch(`${suite.bench.url}/admin/v1/keys`, {
      headers: { authorization: 'Bearer sk-strata-nobody' },
    });
    await suite.bench.deps.audit.flush();
    const path = '/audit?chain=installation&category=auth_failure';
    const [newest] = (await call({ path })).body.items as unknown[];
    expect(newest).toMatchObject({
      record: { action: 'caller.authenticate', target: { id: 'GET /admin/v1/keys' } },
    });
    expect((await suite.bench.call({ key: keyOf('owner'), path })).status).toBe(404);
    await suite.bench.call({ key: keyOf('none'), path: '/keys' });
    await suite.bench.deps.audit.flush();
    const denied = await call({ path: '/audit?category=policy_denial&target=route:GET%20/admin/v1/keys' });
    const [refused] = denied.body.items as unknown[];
    expect(refused).toMatchObject({ record: { outcome: 'refused', reason: 'role_required' } });
  });

  test('a budget of the configuration is shown and is changed there', async () => {
    await suite.bench.deps.budgetStore.create({
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
    await suite.bench.deps.budgetStore.charge([charge]);
    expect((await call({ path })).body).toMatchObject({
      spent_usd: '0.000000001',
      alerts: [50, 80, 100],
    });
    const headers = { 'if-match': '*' };
    for (const more of [{ method: 'PATCH', body: { limit_usd: '9' } }, { method: 'DELETE' }])
      expect((await call({ ...more, path, headers })).body).toMatchObject({
        status: 409,
        reason: 'budget_in_config',
      });
    expect(await suite.bench.deps.budgetStore.find('config:house')).toMatchObject({ limitNanoUsd: 1n });
    await suite.bench.deps.budgetStore.remove('config:house');
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
    for (const report of ['usage', 'audit']) {
      const mixedUp = await call({ path: `/${report}?from=2026-10-02T00:00:00Z&to=2026-10-01T00:00:00Z` });
      expect(mixedUp.body).toMatchObject({ status: 400, reason: 'admin_request_invalid', param: 'from' });
    }
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
    const before = (await suite.bench.audited()).length;
    const caller = await suite.bench.deps.authenticate({ 'x-api-key': String(made.key) });
    const resource = { kind: 'model', name: 'claude' } as const;
    expect(() => suite.bench.deps.policy.require(caller, resource, 'openai-chat')).toThrow('may not be used');
    expect((await suite.bench.audited()).slice(before)).toMatchObject([
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
});
