import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtInPrices } from '@strata/shared/money/price-catalog.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion, chatCostNanoUsd, chatStream, message, messageStream } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
});
afterEach(() => gateway.close());
afterAll(() => upstream.close());

const account = (more: object = {}) => ({
  type: 'openai-compatible',
  base_url: `${upstream.url}/v1`,
  allow_private: true,
  ...more,
});

async function start(targets: object[], more: object = {}): Promise<void> {
  gateway = await startGateway({
    section: {
      providers: { known: account({ vendor: 'openai' }), stranger: account() },
      models: { chat: { targets } },
      ...more,
    },
  });
}

const known = { provider: 'known', model: 'gpt-5-mini' };
const unknown = { provider: 'stranger', model: 'gpt-5-mini' };

test('[$-2] a model without prices of its own costs what the catalog says, and the record names which prices', async () => {
  await start([known]);
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  const [record] = await gateway.recorded(1);
  const { input, cacheRead, output, reasoning } = record?.usage ?? {
    input: -1,
    cacheRead: 0,
    output: 0,
    reasoning: 0,
  };
  // 0.25, 0.025 and 2 USD per million
  const expected = BigInt(Math.ceil(input * 250 + cacheRead * 25 + (output + reasoning) * 2000));
  expect(record).toMatchObject({ costNanoUsd: expected, priceVersion: builtInPrices().version });
  expect(answer.headers['x-strata-unpriced']).toBeUndefined();
});

test('prices in the configuration win over the catalog, under a version of their own', async () => {
  await start([{ ...known, prices: { input: '1000', output: '1000', cache_read: '1000' } }]);
  await post(gateway, '/v1/chat/completions', chatRequest());
  const [record] = await gateway.recorded(1);
  const tokens = Object.values(record?.usage ?? {}).reduce((sum, each) => sum + each, 0);
  expect(record?.costNanoUsd).toBe(BigInt(tokens) * 1_000_000n);
  expect(record?.priceVersion).toMatch(/^config\/[0-9a-f]{12}$/);
});

test('prices in the configuration hold by the length of the input', async () => {
  const tier = {
    above_input_tokens: 1,
    input: '2000',
    output: '3000',
    cache_read: '2000',
    reasoning: '3000',
  };
  await start([{ ...known, prices: { input: '1000', output: '1000', tiers: [tier] } }]);
  await post(gateway, '/v1/chat/completions', chatRequest());
  const [record] = await gateway.recorded(1);
  const { input = 0, cacheRead = 0, output = 0, reasoning = 0 } = record?.usage ?? {};
  expect(input + cacheRead).toBeGreaterThan(1);
  expect(record?.costNanoUsd).toBe(
    BigInt((input + cacheRead) * 2_000_000 + (output + reasoning) * 3_000_000),
  );
});

test('[$-2] an unpriced model is answered and marked, never booked as free', async () => {
  await start([unknown]);
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect([answer.status, answer.headers['x-strata-unpriced']]).toEqual([200, 'true']);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ costNanoUsd: undefined, priceVersion: undefined });
});

test('[$-2] where unpriced models are blocked, one is refused before the upstream hears of it', async () => {
  await start([unknown], { unpriced: 'block' });
  const before = upstream.requests.length;
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect(answer.status).toBe(403);
  expect(JSON.parse(answer.body.toString()).error).toMatchObject({ code: 'model_unpriced', param: 'model' });
  expect(upstream.requests.length).toBe(before);
});

test('where unpriced models are blocked, the next target that has a price answers', async () => {
  await start([unknown, known], { unpriced: 'block' });
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect(answer.status).toBe(200);
  const records = await gateway.recorded(2);
  expect(records.map(each => [each.provider, each.outcome])).toEqual([
    ['stranger', 'failed'],
    ['known', 'answered'],
  ]);
});

test('a price file wins over the built-in catalog, and names its own version', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'strata-price-file-')), 'prices.json');
  const models = { 'openai/gpt-5-mini': { input: '1000', output: '1000' } };
  writeFileSync(file, JSON.stringify({ source: 'mine', licence: 'none', as_of: '2026-11-01', models }));
  await start([known], { price_file: file });
  await post(gateway, '/v1/chat/completions', chatRequest());
  const [record] = await gateway.recorded(1);
  expect(record?.priceVersion).toMatch(/^2026-11-01\//);
});

test('[$-2] a price that the admin API sets is in force while the gateway runs: above the price file, below the target', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'strata-price-file-')), 'prices.json');
  const models = { 'openai/gpt-5-mini': { input: '1000', output: '1000' } };
  writeFileSync(file, JSON.stringify({ source: 'mine', licence: 'none', as_of: '2026-11-01', models }));
  gateway = await startGateway({
    section: {
      price_file: file,
      providers: { known: account({ vendor: 'openai' }), stranger: account() },
      models: {
        chat: { targets: [known] },
        fixed: { targets: [{ ...known, prices: { input: '7', output: '7' } }] },
        local: { targets: [unknown] },
      },
    },
  });
  const { priceStore, priceOverrides } = gateway.deps;
  const versionOf = async (model: string) => {
    const count = gateway.records.length + 1;
    await post(gateway, '/v1/chat/completions', chatRequest({ model }));
    return (await gateway.recorded(count)).at(-1)?.priceVersion;
  };
  const inForce = (isThere: () => boolean) => expect.poll(isThere, { timeout: 20_000 }).toBe(true);
  expect(await versionOf('chat')).toMatch(/^2026-11-01\//);
  expect(await versionOf('local')).toBeUndefined();

  const prices = { input: '2', output: '3', cache_read: '1' };
  const set = await priceStore.set({ vendor: 'openai', model: 'gpt-5-mini', prices });
  const own = await priceStore.set({ vendor: 'stranger', model: 'gpt-5-mini', prices });
  await inForce(() => priceOverrides.find('stranger', 'gpt-5-mini') !== undefined);
  expect(await versionOf('chat')).toBe(`admin/${set.version}`);
  const { usage, costNanoUsd } = gateway.records.at(-1) ?? {};
  const { input = 0, cacheRead = 0, output = 0, reasoning = 0 } = usage ?? {};
  expect(costNanoUsd).toBe(BigInt(input * 2000 + cacheRead * 1000 + (output + reasoning) * 3000));
  expect(await versionOf('local')).toBe(`admin/${own.version}`);
  expect(await versionOf('fixed')).toMatch(/^config\//);

  await priceStore.remove({ vendor: 'openai', model: 'gpt-5-mini' });
  await inForce(() => priceOverrides.find('openai', 'gpt-5-mini') === undefined);
  expect(await versionOf('chat')).toMatch(/^2026-11-01\//);
});

const servicePrices = {
  input: '2',
  output: '4',
  cache_read: '1',
  service_tiers: { flex: { multiplier: '0.5' }, priority: { multiplier: '2' } },
};

test.each([
  { asked: undefined, given: 'flex', factor: 0.5 },
  { asked: 'auto', given: 'priority', factor: 2 },
  { asked: 'flex', given: 'default', factor: 1 },
  { asked: 'flex', given: undefined, factor: 0.5 },
])('the tier of service of the answer decides the price: asked for $asked, given $given', async each => {
  const { asked, given, factor } = each;
  const { service_tier: _, ...completion } = chatCompletion as Record<string, unknown>;
  upstream.use(jsonPlan({ ...completion, ...(given && { service_tier: given }) }));
  await start([{ ...known, prices: servicePrices }]);
  const answer = await post(
    gateway,
    '/v1/chat/completions',
    chatRequest({ ...(asked && { service_tier: asked }) }),
  );
  upstream.use(jsonPlan(chatCompletion));
  const [record] = await gateway.recorded(1);
  const { input = 0, cacheRead = 0, output = 0, reasoning = 0 } = record?.usage ?? {};
  const standard = input * 2000 + cacheRead * 1000 + (output + reasoning) * 4000;
  expect(record?.costNanoUsd).toBe(BigInt(standard * factor));
  expect(record?.serviceTier).toBe(given ?? asked);
  expect(answer.headers['x-strata-cost-nano-usd']).toBe(String(record?.costNanoUsd));
});

test('[$-2] an answer of a tier of service without a price is unpriced; asking for one is refused where that is blocked', async () => {
  upstream.use(jsonPlan({ ...(chatCompletion as object), service_tier: 'scale' }));
  await start([{ ...known, prices: servicePrices }], { unpriced: 'block' });
  const answer = await post(gateway, '/v1/chat/completions', chatRequest());
  expect([answer.status, answer.headers['x-strata-unpriced']]).toEqual([200, 'true']);
  expect((await gateway.recorded(1))[0]).toMatchObject({ costNanoUsd: undefined, serviceTier: 'scale' });
  const before = upstream.requests.length;
  const refused = await post(gateway, '/v1/chat/completions', chatRequest({ service_tier: 'scale' }));
  upstream.use(jsonPlan(chatCompletion));
  expect([refused.status, JSON.parse(refused.body.toString()).error.code]).toEqual([403, 'model_unpriced']);
  expect(upstream.requests.length).toBe(before);
});

test.each([
  { from: 'chat', to: 'openai-compatible' },
  { from: 'chat', to: 'anthropic' },
  { from: 'messages', to: 'openai-compatible' },
  { from: 'messages', to: 'anthropic' },
])('the tier of service that a stream names decides its price: $from from $to', async ({ from, to }) => {
  const isAnthropic = to === 'anthropic';
  const stream = isAnthropic
    ? messageStream.replace('"usage":{', '"usage":{"service_tier":"priority",')
    : chatStream.replaceAll('"created":', '"service_tier":"priority","created":');
  upstream.use([eventStreamHead, { op: 'write', bytes: stream }]);
  const prices = {
    input: '1',
    output: '2',
    cache_read: '0.1',
    service_tiers: { priority: { multiplier: '1.5' } },
  };
  const target = { provider: 'far', model: 'm', prices };
  gateway = await startGateway({
    section: {
      providers: { far: account({ type: to, ...(isAnthropic && { base_url: upstream.url, api_key: 'k' }) }) },
      models: { chat: { targets: [target] }, messages: { targets: [target] } },
    },
  });
  if (from === 'chat') await post(gateway, '/v1/chat/completions', chatRequest({ stream: true }));
  else await post(gateway, '/v1/messages', messagesRequest({ stream: true }));
  upstream.use(jsonPlan(chatCompletion));
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({
    serviceTier: 'priority',
    usageSource: 'reported',
    costNanoUsd: BigInt((chatCostNanoUsd * 3) / 2),
  });
});

test('[$-1] [$-2] a tier that its target is never asked for decides no price and refuses nothing', async () => {
  upstream.use(jsonPlan(message));
  const own = { base_url: upstream.url, allow_private: true };
  const prices = { input: '2', output: '4', cache_read: '1', service_tiers: { flex: { multiplier: '0.5' } } };
  gateway = await startGateway({
    section: {
      unpriced: 'block',
      providers: {
        claude: { ...own, type: 'anthropic', api_key: 'k' },
        aws: { ...own, type: 'bedrock', region: 'eu-central-1', api_key: 'k' },
      },
      models: {
        chat: { targets: [{ provider: 'claude', model: 'm', prices }] },
        titan: { targets: [{ provider: 'aws', model: 'amazon.titan', prices }] },
      },
    },
  });
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ service_tier: 'flex' }));
  expect(answer.headers['x-strata-changed']).toContain('service_tier=dropped');
  upstream.use(jsonPlan({}, { headers: { 'x-amzn-bedrock-input-token-count': '5' } }));
  const invoked = await post(gateway, '/model/titan/invoke', { inputText: 'x', service_tier: 'scale' });
  upstream.use(jsonPlan(chatCompletion));
  expect(invoked.status).toBe(200);
  const [translated, passed] = await gateway.recorded(2);
  const { input = 0, cacheRead = 0, output = 0, reasoning = 0 } = translated?.usage ?? {};
  const standard = BigInt(input * 2000 + cacheRead * 1000 + (output + reasoning) * 4000);
  expect(translated).toMatchObject({ serviceTier: undefined, costNanoUsd: standard });
  expect(answer.headers['x-strata-cost-nano-usd']).toBe(String(standard));
  expect(passed).toMatchObject({ serviceTier: 'default', costNanoUsd: 10_000n });
});

test('[$-1] [$-2] under a budget, and where unpriced models are blocked, a tier without a price is refused only by a target that would be asked for it', async () => {
  const own = { base_url: upstream.url, allow_private: true };
  const prices = { input: '2', output: '4', cache_read: '1' };
  gateway = await startGateway({
    shared: { budgets: [{ name: 'b', tenant: 'acme', subject: 'organisation:acme', limit_usd: '1' }] },
    section: {
      unpriced: 'block',
      providers: {
        claude: { ...own, type: 'anthropic', api_key: 'k' },
        plain: account(),
        picky: account({ type: 'xai', api_key: 'k' }),
      },
      models: {
        claude: { targets: [{ provider: 'claude', model: 'm', prices }] },
        plain: { targets: [{ provider: 'plain', model: 'm', prices }] },
        picky: { targets: [{ provider: 'picky', model: 'm', prices }] },
      },
    },
  });
  const ask = (model: string) =>
    post(gateway, '/v1/chat/completions', chatRequest({ model, service_tier: 'priority' }));
  upstream.use(jsonPlan(message));
  expect((await ask('claude')).status).toBe(200);
  upstream.use(jsonPlan(chatCompletion));
  expect((await ask('picky')).status).toBe(200);
  const refused = await ask('plain');
  expect([refused.status, JSON.parse(refused.body.toString()).error.code]).toEqual([402, 'cost_unknown']);
});
