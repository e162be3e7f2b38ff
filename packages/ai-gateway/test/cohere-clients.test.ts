import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { CohereClient, CohereClientV2, CohereError } from 'cohere-ai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';

/** Cohere's own SDK, and rerankers that are called as Cohere's is. */

let simulator: Simulator;
let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true };
  const prices = { input: '1', output: '2' };
  gateway = await startGateway({
    section: {
      providers: {
        cohere: { ...own, type: 'cohere', base_url: `${simulator.url}/cohere` },
        anthropic: { ...own, type: 'anthropic', base_url: `${simulator.url}/anthropic` },
        fake: { ...own, type: 'cohere', base_url: upstream.url },
        vllm: { ...own, type: 'vllm', base_url: `${upstream.url}/v1` },
        openai: { ...own, type: 'openai', base_url: `${upstream.url}/v1` },
      },
      models: {
        rank: { targets: [{ provider: 'cohere', model: 'rerank-v4.0-pro' }] },
        command: { targets: [{ provider: 'cohere', model: 'command-a-reasoning-08-2025', prices }] },
        claude: { targets: [{ provider: 'anthropic', model: 'claude-sonnet-5', prices }] },
        embed: { targets: [{ provider: 'fake', model: 'embed-v4.0', prices }] },
        local: { targets: [{ provider: 'vllm', model: 'bge-reranker', prices }] },
        gpt: { targets: [{ provider: 'openai', model: 'gpt-5-mini', prices }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
  await simulator.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

const options = () => ({ environment: gateway.url, token: gateway.key, maxRetries: 0 });
const client = () => new CohereClientV2(options());
const sent = () => ({
  path: upstream.requests.at(-1)?.path,
  body: JSON.parse(upstream.requests.at(-1)?.body().toString() ?? '') as unknown,
});
const documents = ['a blue house', 'a red car'];
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

test('rerank', async () => {
  const answer = await client().rerank({ model: 'rank', query: 'red car', documents, topN: 1 });
  expect(answer.results).toMatchObject([{ index: 1, relevanceScore: 1 }]);
  expect(answer.meta?.billedUnits?.searchUnits).toBe(1);
  expect((await gateway.recorded(1))[0]).toMatchObject({ operation: 'rerank', usageSource: 'reported' });
});

test('embed: its tokens are priced', async () => {
  const embeddings = { float: [[0.25, -0.5]], base64: ['AAAA'] };
  const meta = { api_version: { version: '2' }, billed_units: { input_tokens: 6 } };
  upstream.use(
    jsonPlan({ id: 'e-1', response_type: 'embeddings_by_type', embeddings, texts: ['one'], meta }),
  );
  const answer = await client().embed({
    model: 'embed',
    inputType: 'search_query',
    embeddingTypes: ['float', 'base64'],
    texts: ['one'],
  });
  expect(answer.embeddings).toMatchObject({ float: [[0.25, -0.5]] });
  expect(sent()).toMatchObject({ path: '/v2/embed', body: { model: 'embed-v4.0', texts: ['one'] } });
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({ operation: 'embeddings', usageSource: 'reported', costNanoUsd: 6000n });
});

describe.each([
  ['of a client of Jina or Voyage', '/v1/rerank', { query: 'q', documents, top_k: 1 }],
  ['of a client of Cohere', '/v2/rerank', { query: 'q', documents, top_n: 1 }],
])('reranking %s by a server that is like OpenAI', (_name, path, body) => {
  test('passes, and its tokens are priced', async () => {
    const usage = { prompt_tokens: 4, total_tokens: 4 };
    upstream.use(jsonPlan({ object: 'list', results: [{ index: 1, relevance_score: 0.9 }], usage }));
    const answer = await post(gateway, path, { model: 'local', ...body });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ results: [{ index: 1 }] });
    expect(sent()).toEqual({ path: '/v1/rerank', body: { model: 'bge-reranker', ...body } });
    expect((await gateway.recorded(1))[0]).toMatchObject({ usageSource: 'reported', costNanoUsd: 4000n });
  });
});

test('the first version of the SDK reranks at the first version of the API', async () => {
  upstream.use(jsonPlan({ id: 'r-1', results: [{ index: 0, relevance_score: 0.5 }], meta: {} }));
  const first = new CohereClient(options());
  const answer = await first.rerank({ model: 'embed', query: 'q', documents });
  expect(answer.results).toMatchObject([{ index: 0, relevanceScore: 0.5 }]);
  expect(sent().path).toBe('/v1/rerank');
});

describe.each(['command', 'claude'])('chat, answered by %s', model => {
  test('whole', async () => {
    const answer = await client().chat({ model, messages: [{ role: 'user', content: 'Good morning' }] });
    expect(answer).toMatchObject({ finishReason: 'COMPLETE', message: { role: 'assistant' } });
    expect(answer.message.content?.at(-1)).toEqual({ type: 'text', text: 'You said: Good morning' });
    expect(answer.usage?.billedUnits?.outputTokens).toBeGreaterThan(0);
  });

  test('streamed, with thinking and tools, and the loop goes on', async () => {
    const asked = { role: 'user' as const, content: 'What is the weather in Paris? [[think: I wonder.]]' };
    const request = { model, tools: [weather], thinking: { type: 'enabled' as const, tokenBudget: 1024 } };
    const stream = await client().chatStream({ ...request, messages: [asked] });
    let id = '';
    let written = '';
    let end: unknown;
    for await (const event of stream) {
      if (event.type === 'tool-call-start') id = event.delta?.message?.toolCalls?.id ?? '';
      if (event.type === 'tool-call-delta')
        written += event.delta?.message?.toolCalls?.function?.arguments ?? '';
      if (event.type === 'message-end') end = event.delta;
    }
    expect(JSON.parse(written)).toEqual({ city: 'Paris' });
    expect(end).toMatchObject({ finishReason: 'TOOL_CALL', usage: {} });
    const call = { id, type: 'function' as const, function: { name: 'get_weather', arguments: written } };
    const messages = [
      asked,
      { role: 'assistant' as const, toolCalls: [call] },
      { role: 'tool' as const, toolCallId: id, content: 'Sunny' },
    ];
    const next = await client().chat({ ...request, messages });
    expect(next.message.content?.at(-1)).toEqual({ type: 'text', text: 'The tool answered: "Sunny".' });
  });
});

test('[AI-5] thinking that Anthropic signed comes back to it, through a client with no field for its signature', async () => {
  const request = {
    model: 'claude',
    tools: [weather],
    thinking: { type: 'enabled' as const, tokenBudget: 1024 },
  };
  const asked = { role: 'user' as const, content: 'What is the weather in Paris? [[think: I wonder.]]' };
  const first = await client().chat({ ...request, messages: [asked] });
  const [call] = first.message.toolCalls ?? [];
  await client().chat({
    ...request,
    messages: [
      asked,
      { role: 'assistant', toolCalls: first.message.toolCalls ?? [] },
      { role: 'tool', toolCallId: call?.id ?? '', content: 'Sunny' },
    ],
  });
  const { messages } = JSON.parse(simulator.requests.at(-1)?.body.toString() ?? '');
  expect(messages[1].content[0]).toMatchObject({ type: 'thinking', thinking: 'I wonder.' });
  expect(messages[1].content[0].signature).toMatch(/./);
  expect(messages[1].content[1].id).not.toContain('__strata1_');
});

test('errors are those of the SDK', async () => {
  const unknown = client().rerank({ model: 'nobody', query: 'q', documents });
  await expect(unknown).rejects.toMatchObject({
    statusCode: 404,
    body: { message: expect.stringMatching(/nobody/) },
  });
  await expect(unknown).rejects.toBeInstanceOf(CohereError);
  const unreachable = client().embed({ model: 'gpt', inputType: 'search_query', texts: ['a'] });
  await expect(unreachable).rejects.toMatchObject({ statusCode: 400 });
  const wrong = new CohereClientV2({ ...options(), token: 'sk-strata-wrong' });
  await expect(wrong.rerank({ model: 'rank', query: 'q', documents })).rejects.toMatchObject({
    statusCode: 401,
  });
});
