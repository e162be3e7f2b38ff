import { afterEach, expect, test } from 'vitest';
import { createModernClient } from './modern-client.ts';
import { errorOf, openRawClient, resultText } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;
afterEach(() => gateway.close());

const scripted = {
  type: 'stdio',
  command: [node, fixture('scripted-server.ts')],
  sharing: 'shared',
  tool_prices_usd: { pid: '0.4', crash: '0.4' },
};
const start = async (config: object) => {
  // An answer that became a stream, because the server's process takes its time to start, has its head without what is left.
  const streams = { stream_after_ms: 60_000 };
  gateway = await startGateway({ servers: { tools: scripted }, streams }, { config: { ...config } });
  return openRawClient(gateway);
};

test('[$-1] a tool call that costs more than is left is refused before the server is asked; what is free goes on', async () => {
  const client = await start({
    budgets: [{ name: 'tools', subject: 'tool:tools__*', limit_usd: '1', window: 'total' }],
  });
  for (const id of ['1', '2']) expect(resultText((await client.call(id, 'tools__pid'))[0])).toMatch(/^\d+$/);
  const refused = errorOf((await client.call('3', 'tools__pid'))[0]);
  expect(refused?.data).toMatchObject({
    reason: 'budget_exceeded',
    retryable: false,
    budget_subject: 'tool:tools__*',
  });
  expect(resultText((await client.call('4', 'tools__echo'))[0])).toBeDefined();
  const entries = await gateway.ledger();
  expect(entries.map(entry => [entry.tool, entry.cost_nano_usd])).toEqual([
    ['tools__pid', 400_000_000],
    ['tools__pid', 400_000_000],
  ]);
  expect(await gateway.deps.budgets.store.totals('config:tools')).toMatchObject({
    spentNanoUsd: 800_000_000n,
  });
});

test('[$-1] a call whose server died under way keeps what was set aside for it: it may have happened', async () => {
  const client = await start({
    budgets: [{ name: 'all', subject: 'organisation:default', limit_usd: '1', window: 'total' }],
  });
  await client.call('1', 'tools__crash');
  await gateway.ledger();
  expect(await gateway.deps.budgets.store.totals('config:all')).toMatchObject({ spentNanoUsd: 400_000_000n });
});

test('[$-2] a tool is priced over the admin API while it is in use; what the configuration prices stays, and each cost names its price', async () => {
  const client = await start({});
  const { deps } = gateway;
  const set = async (model: string, usdPerMillion: string, status = 201) => {
    const reply = await fetch(new URL('/admin/v1/prices', gateway.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.adminKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ vendor: 'tool:tools', model, prices: { tool_units: usdPerMillion } }),
    });
    expect(reply.status, await reply.clone().text()).toBe(status);
    return ((await reply.json()) as { version: string }).version;
  };
  const any = await set('*', '1000000');
  const echo = await set('echo', '0.0000001'); // a nano-USD at least: rounded up
  await set('pid', '7');
  await expect.poll(() => deps.priceOverrides.uses('tool').length, { timeout: 20_000 }).toBe(3);
  for (const [id, tool] of [
    ['1', 'echo'],
    ['2', 'pid'],
    ['3', 'levels'],
  ] as const)
    await client.call(id, `tools__${tool}`);
  const booked = (await gateway.ledger()).map(entry => [
    entry.model,
    entry.cost_nano_usd,
    entry.price_version,
  ]);
  expect(booked).toEqual([
    ['echo', 1, echo],
    ['pid', 400_000_000, 'config:pid=0.4'],
    ['levels', expect.anything(), any],
  ]);
});

const callBody = (id: string) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"tools__echo","arguments":{}}}`;
const limitHeaders = ({ headers }: Response) => [
  headers.get('ratelimit-policy'),
  headers.get('ratelimit'),
  headers.get('retry-after'),
];

test('[I7] calls of a tool are limited for every principal, whatever the server; every answer tells what is left', async () => {
  const client = await start({
    limits: [{ name: 'calls', subject: 'principal:*', unit: 'tool_calls', amount: 2, per: 'day' }],
  });
  const policy = '"calls";q=2;w=86400;qu="tool-calls"';
  const first = await client.post(callBody('1'));
  expect(limitHeaders(first)).toEqual([policy, '"calls";r=1;t=43200', null]);
  expect(resultText((await client.call('2', 'tools__echo'))[0])).toBeDefined();
  const refused = await client.post(callBody('3'));
  expect(limitHeaders(refused)).toEqual([
    policy,
    expect.stringMatching(/^"calls";r=0;t=86[34]\d\d$/),
    expect.stringMatching(/^43[12]\d\d$/),
  ]);
  expect(errorOf(await refused.text())?.data).toMatchObject({
    reason: 'rate_limit_exceeded',
    limit: 'calls',
    retry_after_ms: expect.any(Number),
  });

  const modern = await createModernClient(gateway).send('4', 'tools/call', { name: 'tools__echo' });
  expect(limitHeaders(modern)).toEqual([
    policy,
    expect.stringMatching(/^"calls";r=0;/),
    expect.stringMatching(/^4\d+$/),
  ]);
});

test('[I7] calls of one run are limited together, and no other', async () => {
  await start({
    limits: [{ name: 'loop', subject: 'run:*', unit: 'tool_calls', amount: 2, per: 'day' }],
  });
  const answersOf = async (runId: string) => {
    const envelope = await gateway.issueEnvelope({ runId });
    const client = await openRawClient(gateway, { envelope });
    const answers: unknown[] = [];
    for (const id of ['1', '2', '3']) {
      const [answer = ''] = await client.call(id, 'tools__echo');
      answers.push(errorOf(answer)?.data?.reason);
    }
    return answers;
  };
  const twice = [undefined, undefined, 'rate_limit_exceeded'];
  expect(await answersOf('run_1')).toEqual(twice);
  expect(await answersOf('run_2')).toEqual(twice);
});

test('[I7] a call that a budget refuses counts in no limit', async () => {
  const client = await start({
    budgets: [{ name: 'none', subject: 'tool:tools__pid', limit_usd: '0.1', window: 'total' }],
    limits: [{ name: 'calls', subject: 'principal:*', unit: 'tool_calls', amount: 2, per: 'day' }],
  });
  for (const id of ['1', '2', '3'])
    expect(errorOf((await client.call(id, 'tools__pid'))[0])?.data).toMatchObject({
      reason: 'budget_exceeded',
    });
  for (const id of ['4', '5'])
    expect(resultText((await client.call(id, 'tools__echo'))[0]), id).toBeDefined();
  expect(errorOf((await client.call('6', 'tools__echo'))[0])?.data).toMatchObject({
    reason: 'rate_limit_exceeded',
  });
});
