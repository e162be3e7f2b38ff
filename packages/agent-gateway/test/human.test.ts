import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterEach, expect, test } from 'vitest';
import { type Store, stores } from './support/both-stores.ts';
import { useStoreConfigs } from './support/each-store.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { startFarEnd } from './support/http-far-end.ts';

/** People decide, over HTTP, about runs that wait for them. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const configOf = useStoreConfigs();

async function start(store: Store = 'SQLite'): Promise<TestGateway> {
  const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(store) });
  opened.push(deps);
  const gateway = await startGateway({ deps });
  opened.push(gateway);
  return gateway;
}

const refund = (rest: Record<string, unknown> = {}) =>
  definitionOf([
    {
      ask: {
        call: 'human',
        with: {
          title: '${ "Refund \\(.amount) EUR?" }',
          content: '${ { amount, customer } }',
          assignees: ['lead'],
          deadline: 'PT1H',
          ...rest,
        },
      },
    },
    {
      after: {
        set: { decision: '${ .decision }', by: '${ .by }', data: '${ .data }', comment: '${ .comment }' },
      },
    },
  ]);

async function submit(gateway: TestGateway, definition: unknown): Promise<string> {
  const body = { definition, input: { amount: 20, customer: 'c-1' } };
  const { body: run } = await gateway.call('POST', '/v1/runs', { body });
  return run.id;
}

/** The question, as soon as it is there. */
async function question(gateway: TestGateway, key: string) {
  for (;;) {
    const { body } = await gateway.call('GET', '/v1/approvals', { key });
    if (body.approvals.length > 0) return body.approvals[0];
    await new Promise(resolve => setTimeout(resolve, 20)); // asks again; nothing is decided by the time
  }
}

const decide = (gateway: TestGateway, id: string, body: unknown, key: string) =>
  gateway.call('POST', `/v1/approvals/${id}:decide`, { body, key });
const ended = async (gateway: TestGateway, id: string) => {
  for (;;) {
    const { body } = await gateway.call('GET', `/v1/runs/${id}`);
    if (['completed', 'failed', 'cancelled', 'terminated'].includes(body.status)) return body;
    await new Promise(resolve => setTimeout(resolve, 20)); // asks again; nothing is decided by the time
  }
};

test('a run waits, whoever is asked decides, and the run goes on with what was said', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const run = await submit(gateway, refund());
  const asked = await question(gateway, lead);
  expect(asked).toMatchObject({
    status: 'pending',
    title: 'Refund 20 EUR?',
    content: { amount: 20, customer: 'c-1' },
    assignees: ['lead'],
    run,
    task: '/do/0/ask',
    workflow: 'test/flow:1.0.0',
  });
  const answer = await decide(
    gateway,
    asked.id,
    { decision: 'approved', digest: asked.digest, comment: 'fine' },
    lead,
  );
  expect([answer.status, answer.body.status]).toEqual([200, 'approved']);
  expect(await ended(gateway, run)).toMatchObject({
    status: 'completed',
    output: { decision: 'approved', by: 'lead', comment: 'fine', data: null },
  });
  expect((await gateway.call('GET', '/v1/approvals', { key: lead })).body.approvals).toEqual([]);
});

test.each(stores)('[8.4-4] [G7] %s: a decision is bound to what was shown, and made once', async store => {
  const gateway = await start(store);
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const run = await submit(gateway, refund());
  const asked = await question(gateway, lead);
  const other = await decide(gateway, asked.id, { decision: 'approved', digest: 'sha256:other' }, lead);
  expect([other.status, other.body.reason]).toEqual([409, 'approval_content_differs']);
  const verdict = (decision: string) => ({ decision, digest: asked.digest });
  const both = await Promise.all([
    decide(gateway, asked.id, verdict('approved'), lead),
    decide(gateway, asked.id, verdict('rejected'), lead),
  ]);
  expect(both.map(each => each.status).sort()).toEqual([200, 409]);
  const winner = both.find(each => each.status === 200)?.body.status;
  expect(await ended(gateway, run)).toMatchObject({ output: { decision: winner } });
  const again = await decide(gateway, asked.id, verdict('approved'), lead);
  expect([again.status, again.body.reason]).toEqual([409, 'approval_decided']);
});

test('[G8] who is not asked sees nothing and decides nothing, exactly as for what does not exist', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const clerk = await gateway.deps.createKey({ principal: 'clerk' });
  const stranger = await gateway.deps.createKey({ principal: 'lead', tenant: 'other' });
  await submit(gateway, refund());
  const asked = await question(gateway, lead);
  for (const key of [clerk, stranger]) {
    expect((await gateway.call('GET', '/v1/approvals', { key })).body.approvals).toEqual([]);
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['POST', ':decide', { decision: 'approved', digest: asked.digest }],
    ] as const) {
      const foreign = await gateway.call(method, `/v1/approvals/${asked.id}${path}`, { key, body });
      const absent = await gateway.call(method, `/v1/approvals/apr_none${path}`, { key, body });
      const plain = (answer: { status: number; body: Record<string, unknown> }) => [
        answer.status,
        { ...answer.body, request_id: '' },
      ];
      expect(plain(foreign)).toEqual(plain(absent));
      expect(foreign.status).toBe(404);
    }
  }
});

test('the gateway alone sends decisions: a signal of that name is refused', async () => {
  const gateway = await start();
  const run = await submit(gateway, refund());
  const { status, body } = await gateway.call('POST', `/v1/runs/${run}/signals/strata.approval`, {
    body: { data: { approval: 'x', decision: { decision: 'approved' } } },
  });
  expect([status, body.reason]).toEqual([400, 'signal_name_reserved']);
});

test('a form asks for data, which must be what it says; a rejection needs none', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const form = {
    type: 'object',
    properties: { amount: { type: 'number', maximum: 20 } },
    required: ['amount'],
  };
  const first = await submit(gateway, refund({ form }));
  const asked = await question(gateway, lead);
  const wrong = await decide(
    gateway,
    asked.id,
    { decision: 'approved', digest: asked.digest, data: { amount: 30 } },
    lead,
  );
  expect([wrong.status, wrong.body.reason]).toEqual([400, 'data_invalid']);
  expect(wrong.body.detail).toContain('/amount');
  await decide(gateway, asked.id, { decision: 'approved', digest: asked.digest, data: { amount: 15 } }, lead);
  expect(await ended(gateway, first)).toMatchObject({ output: { data: { amount: 15 } } });
  const second = await submit(gateway, refund({ form }));
  const next = await question(gateway, lead);
  expect((await decide(gateway, next.id, { decision: 'rejected', digest: next.digest }, lead)).status).toBe(
    200,
  );
  expect(await ended(gateway, second)).toMatchObject({ output: { decision: 'rejected' } });
});

test.each(stores)(
  '[8.4-4] %s: without a decision by the deadline the task times out, which can be caught; who decides later hears so',
  async store => {
    const gateway = await start(store);
    const lead = await gateway.deps.createKey({ principal: 'lead' });
    const [ask] = refund({ deadline: { milliseconds: 50 } }).do as Record<string, unknown>[];
    const caught = definitionOf([
      {
        safe: {
          try: [ask],
          catch: {
            errors: { with: { status: 408 } },
            do: [{ late: { set: { late: '${ $error.reason }' } } }],
          },
        },
      },
    ]);
    const run = await submit(gateway, caught);
    expect(await ended(gateway, run)).toMatchObject({
      status: 'completed',
      output: { late: 'approval_expired' },
    });
    const { body } = await gateway.call('GET', '/v1/approvals?status=expired', { key: lead });
    const [late] = body.approvals;
    const answer = await decide(gateway, late.id, { decision: 'approved', digest: late.digest }, lead);
    expect([answer.status, answer.body.reason]).toEqual([409, 'approval_decided']);
  },
);

test('it is put to others when nobody decides for a while', async () => {
  const gateway = await start();
  const boss = await gateway.deps.createKey({ principal: 'boss' });
  const run = await submit(gateway, refund({ escalation: { after: { milliseconds: 30 }, to: ['boss'] } }));
  const asked = await question(gateway, boss);
  expect(asked.assignees).toEqual(['lead', 'boss']);
  await decide(gateway, asked.id, { decision: 'approved', digest: asked.digest }, boss);
  expect(await ended(gateway, run)).toMatchObject({ output: { by: 'boss' } });
});

test('nobody is asked about a run that was cancelled', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const run = await submit(gateway, refund());
  const asked = await question(gateway, lead);
  await gateway.call('POST', `/v1/runs/${run}:cancel`, { body: {} });
  await ended(gateway, run);
  expect((await gateway.call('GET', '/v1/approvals', { key: lead })).body.approvals).toEqual([]);
  const verdict = { decision: 'approved', digest: asked.digest };
  const late = await decide(gateway, asked.id, verdict, lead);
  expect([late.status, late.body.reason]).toEqual([409, 'approval_not_awaited']);
  expect((await gateway.call('GET', `/v1/approvals/${asked.id}`, { key: lead })).body.status).toBe('void');
});

test('nor is a decision taken that a run which goes on does not wait for any more', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const [ask] = refund().do as Record<string, unknown>[];
  const definition = definitionOf([
    {
      race: {
        fork: {
          compete: true,
          branches: [ask, { hear: { listen: { to: { one: { with: { type: 'go' } } } } } }],
        },
      },
    },
    { more: { wait: 'PT1H' } },
  ]);
  const run = await submit(gateway, definition);
  const asked = await question(gateway, lead);
  expect((await gateway.call('GET', `/v1/approvals/${asked.id}`, { key: lead })).body.status).toBe('pending');
  await gateway.call('POST', `/v1/runs/${run}/signals/go`, { body: {} });
  const path = `/v1/runs/${run}/events?types=task-completed`;
  const stream = await fetch(gateway.url + path, {
    headers: { authorization: `Bearer ${gateway.deps.userKey}` },
  });
  for await (const chunk of stream.body ?? []) if (Buffer.from(chunk).includes('/do/0/race"')) break;
  expect((await gateway.call('GET', '/v1/approvals', { key: lead })).body.approvals).toEqual([]);
  const late = await decide(gateway, asked.id, { decision: 'approved', digest: asked.digest }, lead);
  expect([late.status, late.body.reason]).toEqual([409, 'approval_not_awaited']);
  expect((await gateway.call('GET', `/v1/approvals/${asked.id}`, { key: lead })).body.status).toBe('void');
});

test('a question is asked on when the run that had failed beside it is taken up again', async () => {
  const answers = [400, 200];
  const farEnd = await startFarEnd(
    (_request, response) => void response.writeHead(answers.shift() ?? 200).end(),
  );
  opened.push(farEnd);
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const [ask] = refund().do as Record<string, unknown>[];
  const book = { call: 'http', with: { method: 'post', endpoint: farEnd.url } };
  const hear = { listen: { to: { one: { with: { type: 'go' } } } } };
  const definition = definitionOf([
    { both: { fork: { branches: [ask, { list: { do: [{ hear }, { book }] } }] } } },
  ]);
  const run = await submit(gateway, definition);
  const asked = await question(gateway, lead);
  await gateway.call('POST', `/v1/runs/${run}/signals/go`, { body: {} });
  expect(await ended(gateway, run)).toMatchObject({ status: 'failed' });
  expect((await gateway.call('GET', '/v1/approvals', { key: lead })).body.approvals).toEqual([]);
  await gateway.call('POST', `/v1/runs/${run}:retry`, { body: {} });
  expect(await question(gateway, lead)).toMatchObject({ id: asked.id, status: 'pending' });
  const made = await decide(gateway, asked.id, { decision: 'approved', digest: asked.digest }, lead);
  expect(made.status, JSON.stringify(made.body)).toBe(200);
  expect(await ended(gateway, run)).toMatchObject({ status: 'completed' });
});

test.each(stores)(
  '[8.4-4] [AG-1] %s: a decision that was made when its gateway died reaches the run after a new start',
  async store => {
    const first = await start(store);
    const { deps } = first;
    const lead = await deps.createKey({ principal: 'lead' });
    const run = await submit(first, refund());
    const asked = await question(first, lead);
    await first.close();
    // As a death between the decision and the signal leaves it.
    await deps.sql.db
      .updateTable('approvals' as never)
      .set({
        status: 'approved',
        decided_at_ms: 1,
        decision: JSON.stringify({ decision: 'approved', by: 'lead', atMs: 1, comment: null, data: null }),
      } as never)
      .where('id' as never, '=', asked.id as never)
      .execute();
    const second = await startGateway({ deps });
    opened.push(second);
    expect(await ended(second, run)).toMatchObject({
      status: 'completed',
      output: { decision: 'approved', by: 'lead' },
    });
  },
);

test('[I18] a decision is one audit entry, in the transaction that makes it', async () => {
  const gateway = await start();
  const lead = await gateway.deps.createKey({ principal: 'lead' });
  const run = await submit(gateway, refund());
  const asked = await question(gateway, lead);
  await decide(gateway, asked.id, { decision: 'approved', digest: asked.digest }, lead);
  await ended(gateway, run);
  const entries = await gateway.deps.sql.db
    .selectFrom('audit_entries')
    .selectAll()
    .where('category', '=', 'approval')
    .execute();
  expect(entries).toHaveLength(1);
  expect(JSON.stringify(entries)).toContain(asked.digest);
});
