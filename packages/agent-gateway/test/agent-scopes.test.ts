import { noScopes, type Scopes } from '@strata/shared/identity/scopes.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import type { FarEnd } from './support/http-far-end.ts';
import { startModel } from './support/model.ts';

/** Who may use which agent and which workflow: by the scopes of the key, and by the policies of the operator. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface Started {
  readonly gateway: TestGateway;
  readonly deps: TestDeps;
  readonly model: FarEnd;
}

async function start(policies: readonly object[] = []): Promise<Started> {
  const model = await startModel(() => ({ say: 'done' }));
  const deps = await createTestDeps({ name: 'agent-gateway', config: { identity: { policies } } });
  opened.push(model, deps);
  const gateway = await startGateway({ deps, config: { ai_gateway: model.url } });
  opened.push(gateway);
  return { gateway, deps, model };
}

const keyWith = ({ deps }: Started, scopes: Partial<Scopes>) =>
  deps.createKey({ principal: 'ada', scopes: { ...noScopes, models: ['*'], workflows: ['*'], ...scopes } });

const named = (name: string) => ({ dsl: '1.0.3', namespace: 'support', name, version: '1.0.0' });
const triage = definitionOf(
  [{ ask: { call: 'agent', with: { agent: 'triage', model: 'demo', input: 'Hello' } } }],
  { document: named('tickets') },
);
const parent = definitionOf(
  [
    {
      delegate: { run: { workflow: { namespace: 'support', name: 'tickets', version: '1.0.0', input: {} } } },
    },
  ],
  { document: named('parent') },
);

const submit = ({ gateway }: Started, key: string, definition: unknown) =>
  gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input: {} }, key });

async function denials({ deps }: Started) {
  await deps.audit.flush();
  const rows = await deps.sql.db
    .selectFrom('audit_entries')
    .select('record')
    .where('category', '=', 'policy_denial')
    .execute();
  return rows.map(({ record }) => JSON.parse(record) as Record<string, unknown>);
}

test('[S-2] a key uses the agents of its scopes and no other; what it may not use is refused before anything is done', async () => {
  const started = await start();
  for (const agents of [[], ['other/*'], ['support/*', '!support/tri*']]) {
    const refused = await submit(started, await keyWith(started, { agents }), triage);
    expect([refused.status, refused.body.reason], JSON.stringify(agents)).toEqual([403, 'policy_denied']);
  }
  expect(started.model.received).toEqual([]);
  const allowed = await submit(started, await keyWith(started, { agents: ['support/*'] }), triage);
  expect(allowed.body.status).toBe('completed');
  expect(await denials(started)).toEqual(
    Array(3).fill(
      expect.objectContaining({ principal: 'ada', reason: 'not_in_scopes', action: 'agent.use' }),
    ),
  );
});

test('[S-2] [W7] a run that another run starts uses no agent that the key may not use', async () => {
  const started = await start();
  const path = '/v1/workflows/support/tickets/1.0.0';
  expect((await started.gateway.call('PUT', path, { body: triage })).status).toBe(201);
  const refused = await submit(started, await keyWith(started, {}), parent);
  expect(refused.body).toMatchObject({
    status: 'failed',
    error: { reason: 'policy_denied', status: 403 },
  });
  expect(started.model.received).toEqual([]);
  expect(await denials(started)).toMatchObject([{ principal: 'ada', target: { id: 'support/triage' } }]);
  const allowed = await submit(started, await keyWith(started, { agents: ['support/triage'] }), parent);
  expect(allowed.body.status).toBe('completed');
});

test('a policy about a workflow or an agent refuses at submission, names its rule, and is entered in the audit', async () => {
  const started = await start([
    {
      name: 'no-tickets-for-ada',
      effect: 'deny',
      kinds: ['workflow'],
      names: ['support/tickets'],
      when: 'principal.id == "ada"',
    },
    {
      name: 'no-triage',
      effect: 'deny',
      kinds: ['agent'],
      names: ['*/triage'],
      when: 'principal.id == "eve"',
    },
  ]);
  const ada = await keyWith(started, { agents: ['*'] });
  expect(await submit(started, ada, triage)).toMatchObject({
    status: 403,
    body: { reason: 'policy_denied', decision: 'denied_by_policy', rule: 'no-tickets-for-ada' },
  });
  const eve = await started.deps.createKey({ principal: 'eve' });
  expect(await submit(started, eve, triage)).toMatchObject({
    status: 403,
    body: { reason: 'policy_denied', rule: 'no-triage' },
  });
  // Nor by way of another run.
  await started.gateway.call('PUT', '/v1/workflows/support/tickets/1.0.0', { body: triage });
  expect((await submit(started, ada, parent)).body).toMatchObject({
    status: 'failed',
    error: { reason: 'policy_denied', status: 403 },
  });
  expect(started.model.received).toEqual([]);
  const entered = await denials(started);
  expect(entered.map(({ action, target, details }) => ({ action, target, details }))).toEqual([
    {
      action: 'workflow.use',
      target: { type: 'workflow', id: 'support/tickets' },
      details: { rule: 'no-tickets-for-ada', operation: 'submit' },
    },
    {
      action: 'agent.use',
      target: { type: 'agent', id: 'support/triage' },
      details: { rule: 'no-triage', operation: 'call' },
    },
    {
      action: 'workflow.use',
      target: { type: 'workflow', id: 'support/tickets' },
      details: { rule: 'no-tickets-for-ada', operation: 'submit' },
    },
  ]);
  // And the dry run says the same, without making it.
  const [hers] = await started.deps.keys.list({ tenant: 'default', principal: 'eve', limit: 1 });
  const explained = await started.gateway.call('POST', '/admin/v1/policy/explain', {
    key: started.deps.adminKey,
    body: { key_id: hers?.id, kind: 'agent', name: 'support/triage', operation: 'call' },
  });
  expect([explained.status, JSON.stringify(explained.body)]).toEqual([
    200,
    expect.stringContaining('no-triage'),
  ]);
});
