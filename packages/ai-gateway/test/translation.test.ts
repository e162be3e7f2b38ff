import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  chatRequest,
  messagesRequest,
  post,
  type RunningGateway,
  sectionFor,
  startGateway,
} from './harness.ts';
import { chatCompletion, chatCostNanoUsd, message } from './recordings.ts';

/** What a translated call tells about itself: headers, spans, losses. */

let openai: FakeUpstream;
let anthropic: FakeUpstream;
let gateway: RunningGateway;
let strict: RunningGateway;

beforeAll(async () => {
  openai = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  anthropic = await startFakeUpstream({ plan: jsonPlan(message) });
  const upstreams = { openai: openai.url, anthropic: anthropic.url };
  gateway = await startGateway({ section: sectionFor(upstreams) });
  strict = await startGateway({ section: sectionFor(upstreams, { on_unsupported: 'error' }) });
});
afterAll(async () => {
  await gateway.close();
  await strict.close();
  await openai.close();
  await anthropic.close();
});

const sent = (upstream: FakeUpstream) => JSON.parse(upstream.requests.at(-1)?.body().toString() ?? '{}');

test.each([
  ['/v1/chat/completions', chatRequest({ model: 'messages' })],
  ['/v1/responses', { model: 'messages', input: 'Hi' }],
])("%s tells the tier of Anthropic's answer in its own words", async (path, body) => {
  anthropic.use(jsonPlan({ ...message, usage: { ...message.usage, service_tier: 'standard' } }));
  const answer = await post(gateway, path, body);
  expect(JSON.parse(answer.body.toString()).service_tier).toBe('default');
});

test('a message has every member that the type of the SDK promises', async () => {
  const answer = await post(gateway, '/v1/messages', messagesRequest({ model: 'chat' }));
  const whole = JSON.parse(answer.body.toString());
  const unknown = { container: null, stop_details: null, diagnostics: null };
  const usage = { server_tool_use: null, service_tier: null, speed: null, inference_geo: null };
  const reasoning = { output_tokens_details: { thinking_tokens: expect.any(Number) } };
  expect(whole).toMatchObject({ ...unknown, usage: { ...usage, ...reasoning } });
});

test('headers name provider, model, attempts, usage, cost and what the gateway took', async () => {
  const answer = await post(gateway, '/v1/messages', messagesRequest({ model: 'chat' }));
  expect(answer.status).toBe(200);
  expect(answer.headers).toMatchObject({
    'x-strata-provider': 'fake-openai',
    'x-strata-model': 'gpt-upstream',
    'x-strata-attempts': '1',
    'x-strata-input-tokens': '12',
    'x-strata-cached-tokens': '4',
    'x-strata-output-tokens': '5',
    'x-strata-cost-nano-usd': String(chatCostNanoUsd),
  });
  expect(Number(answer.headers['x-strata-overhead-ms'])).toBeGreaterThan(0);
  expect(answer.headers['x-strata-changed']).toBeUndefined();
});

test('the spans of a translated call say the same as those of any other', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4737';
  const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
  await post(gateway, '/v1/messages', messagesRequest({ model: 'chat' }), { traceparent });
  const spans = gateway.deps.telemetry.recentSpans?.ofTrace(traceId) ?? [];
  for (const kind of ['server', 'client']) {
    expect(spans.find(span => span.kind === kind)?.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.response.model': 'gpt-upstream-2026',
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 5,
      'gen_ai.response.finish_reasons': ['stop'],
      'strata.cost.nano_usd': chatCostNanoUsd,
    });
  }
});

test('[AI-6] what could not be said is named, and nothing else is missing', async () => {
  const answer = await post(
    gateway,
    '/v1/chat/completions',
    chatRequest({
      model: 'messages',
      temperature: 1.5,
      seed: 7,
      logit_bias: { 50256: -100 },
      stop: ['END'],
      max_tokens: 50,
      user: 'someone',
    }),
  );
  expect(answer.status).toBe(200);
  expect(String(answer.headers['x-strata-changed']).split(', ').sort()).toEqual([
    'logit_bias=dropped',
    'seed=dropped',
    'temperature=changed',
  ]);
  expect(sent(anthropic)).toEqual({
    model: 'claude-upstream',
    max_tokens: 50,
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Say something.' }] }],
    temperature: 1,
    stop_sequences: ['END'],
    metadata: { user_id: 'someone' },
  });
});

test('[AI-6] what was left out is named beside a refusal too, which may be one of the rest', async () => {
  anthropic.use(
    jsonPlan({ type: 'error', error: { type: 'invalid_request_error', message: 'no' } }, { status: 400 }),
  );
  const answer = await post(gateway, '/v1/chat/completions', chatRequest({ model: 'messages', seed: 7 }));
  expect([answer.status, answer.headers['x-strata-changed']]).toEqual([400, 'seed=dropped']);
  anthropic.use(jsonPlan(message));
});

test('a client that gives no limit gets the longest answer that the model is known to give', async () => {
  const account = { type: 'anthropic', base_url: anthropic.url, api_key: 'sk', allow_private: true };
  const own = await startGateway({
    section: {
      providers: { claude: account },
      models: {
        known: { targets: [{ provider: 'claude', model: 'claude-opus-4-5' }] },
        unknown: { targets: [{ provider: 'claude', model: 'claude-of-tomorrow' }] },
      },
    },
  });
  const limitOf = async (model: string) => {
    expect((await post(own, '/v1/chat/completions', chatRequest({ model }))).status).toBe(200);
    return sent(anthropic).max_tokens as number;
  };
  expect([await limitOf('known'), await limitOf('unknown')]).toEqual([64_000, 8192]);
  await own.close();
});

test('[AI-6] what a Responses client wants included, and only the vendor has, is named', async () => {
  const ask = (include: string[]) =>
    post(gateway, '/v1/responses', { model: 'messages', input: 'x', include });
  const logprobs = await ask(['reasoning.encrypted_content', 'message.output_text.logprobs']);
  expect(logprobs.headers['x-strata-changed']).toBe('include=dropped');
  const reasoning = await ask(['reasoning.encrypted_content']);
  expect([reasoning.status, reasoning.headers['x-strata-changed']]).toEqual([200, undefined]);
});

test('[AI-6] on_unsupported: error refuses them instead, and asks nobody', async () => {
  const before = anthropic.requests.length;
  const answer = await post(strict, '/v1/chat/completions', chatRequest({ model: 'messages', seed: 7 }));
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.body.toString()).error).toMatchObject({
    type: 'invalid_request_error',
    code: 'parameter_unsupported',
    param: 'seed',
  });
  expect(anthropic.requests.length).toBe(before);
  expect((await post(strict, '/v1/chat/completions', chatRequest({ model: 'messages' }))).status).toBe(200);
});

test("the upstream's refusal is told in its words and the client's shape", async () => {
  openai.use(
    jsonPlan(
      { error: { message: 'Bad `foo`.', type: 'invalid_request_error', param: 'foo', code: null } },
      { status: 400 },
    ),
  );
  const answer = await post(gateway, '/v1/messages', messagesRequest({ model: 'chat' }));
  expect(answer.status).toBe(400);
  const { type, error } = JSON.parse(answer.body.toString());
  expect({ type, errorType: error.type }).toEqual({ type: 'error', errorType: 'invalid_request_error' });
  expect(error.message).toContain('Bad `foo`.');
  openai.use(jsonPlan(chatCompletion));
});

test('a JSON answer from a protocol without that mode is the call of one tool, unwrapped', async () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'give_answer', input: { city: 'Rome' } };
  anthropic.use(jsonPlan({ ...message, content: [call], stop_reason: 'tool_use' }));
  const answer = await post(
    gateway,
    '/v1/chat/completions',
    chatRequest({ model: 'messages', response_format: { type: 'json_object' } }),
  );
  const [choice] = JSON.parse(answer.body.toString()).choices;
  expect(choice).toMatchObject({ finish_reason: 'stop', message: { content: '{"city":"Rome"}' } });
  expect(choice.message.tool_calls).toBeUndefined();
  expect(sent(anthropic).tool_choice).toEqual({ type: 'tool', name: 'give_answer' });
  anthropic.use(jsonPlan(message));
});

test('an upstream that does not stream although it was asked to: the client gets its stream', async () => {
  const answer = await post(gateway, '/v1/messages', messagesRequest({ model: 'chat', stream: true }));
  expect(answer.headers['content-type']).toContain('text/event-stream');
  expect(answer.body.toString()).toContain('event: message_stop');
});
