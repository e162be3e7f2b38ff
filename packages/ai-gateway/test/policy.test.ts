import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion } from './recordings.ts';

let upstream: FakeUpstream;
let gateway: RunningGateway;

const policies = [
  {
    name: 'support-stays-in-the-eu',
    effect: 'deny',
    kinds: ['model'],
    when: 'principal.team == "support" && resource.provider == "us"',
  },
  { name: 'no-agents', effect: 'deny', names: ['chat'], when: 'principal.kind == "agent"' },
];

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  const provider = {
    type: 'openai-compatible',
    base_url: `${upstream.url}/v1`,
    api_key: 'sk-provider',
    allow_private: true,
  };
  const prices = { input: '1', output: '2' };
  const targets = ['us', 'eu'].map(name => ({ provider: name, model: 'gpt', prices }));
  gateway = await startGateway({
    section: { providers: { us: provider, eu: provider }, models: { chat: { targets } } },
    shared: { identity: { policies } },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const ask = async (key: { team?: string; principal: string; principalKind?: 'agent' }) => {
  const secret = await gateway.deps.createKey({ tenant: 'acme', project: key.team, ...key });
  return post(gateway, '/v1/chat/completions', chatRequest(), { authorization: `Bearer ${secret}` });
};

test('[I8] a policy about a provider holds for every attempt: the next target is taken', async () => {
  expect((await ask({ team: 'sales', principal: 'bob' })).headers['x-strata-provider']).toBe('us');
  expect((await ask({ team: 'support', principal: 'ada' })).headers['x-strata-provider']).toBe('eu');
});

test('what a policy denies at every target reaches no upstream, and the refusal names the rule', async () => {
  const before = upstream.requests.length;
  const answer = await ask({ principal: 'robot', principalKind: 'agent' });
  expect(answer.status).toBe(403);
  expect(answer.headers['x-should-retry']).toBe('false');
  const { error } = JSON.parse(answer.body.toString());
  expect(error.code).toBe('policy_denied');
  expect(error.message).toContain('no-agents');
  expect(upstream.requests.length).toBe(before);
});
