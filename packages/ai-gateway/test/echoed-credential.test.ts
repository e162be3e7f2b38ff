import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';

/** A provider that tells in its refusals which key it was shown. */

const secret = 'sk-canary-0123456789-of-the-provider';
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  const message = `Sorry, ${secret} may not do this`;
  upstream = await startFakeUpstream({
    plan: jsonPlan(
      { type: 'error', error: { type: 'invalid_request_error', message, code: 'odd' } },
      { status: 400 },
    ),
  });
  const account = { api_key: secret, allow_private: true };
  gateway = await startGateway({
    section: {
      providers: {
        chat: { type: 'openai', base_url: `${upstream.url}/v1`, ...account },
        claude: { type: 'anthropic', base_url: upstream.url, ...account },
      },
      models: {
        chat: { targets: [{ provider: 'chat', model: 'm' }] },
        claude: { targets: [{ provider: 'claude', model: 'm' }] },
      },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

test.each([
  ['/v1/chat/completions', chatRequest({ model: 'chat' })],
  ['/v1/chat/completions', chatRequest({ model: 'claude' })],
  ['/v1/messages', messagesRequest({ model: 'claude' })],
  ['/v1/messages', messagesRequest({ model: 'chat' })],
])('[S20] %s: the refusal is passed on without the key that it repeats', async (path, body) => {
  const answer = await post(gateway, path, body);
  expect(answer.status).toBe(400);
  expect(answer.body.toString()).toContain('Sorry, *** may not do this');
  expect(answer.body.toString() + JSON.stringify(answer.headers)).not.toContain(secret);
});
