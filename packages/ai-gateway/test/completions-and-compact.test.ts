import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';

/** OpenAI's completions of old and its compaction: for providers that have them, by the official SDK. */

let upstream: FakeUpstream;
let gateway: RunningGateway;
let sdk: OpenAI;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true };
  const prices = { input: '1', output: '2' };
  gateway = await startGateway({
    section: {
      providers: {
        local: { ...own, type: 'vllm', base_url: `${upstream.url}/v1` },
        openai: { ...own, type: 'openai', base_url: `${upstream.url}/v1` },
        claude: { ...own, type: 'anthropic', base_url: upstream.url },
      },
      models: {
        old: { targets: [{ provider: 'local', model: 'llama', prices }] },
        new: { targets: [{ provider: 'openai', model: 'gpt', prices }] },
        other: { targets: [{ provider: 'claude', model: 'claude', prices }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
  sdk = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => {
  gateway.records.length = 0;
});

const sent = () => {
  const request = upstream.requests.at(-1);
  return {
    path: request?.path,
    body: JSON.parse(request?.body().toString() ?? '') as Record<string, unknown>,
  };
};
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

describe('completions', () => {
  const chunk = (text: string, finish: string | null = null) => ({
    id: 'cmpl-1',
    object: 'text_completion',
    model: 'llama',
    choices: [{ index: 0, text, finish_reason: finish }],
  });

  test('whole: passed on under the name that the provider has for the model, and priced', async () => {
    const answered = { id: 'cmpl-1', object: 'text_completion', created: 1, model: 'llama', usage };
    upstream.use(
      jsonPlan({
        ...answered,
        choices: [{ index: 0, text: ' said', finish_reason: 'stop', logprobs: null }],
      }),
    );
    const { choices } = await sdk.completions.create({ model: 'old', prompt: ['Once', 'Twice'], echo: true });
    expect(choices).toMatchObject([{ text: ' said' }]);
    expect(sent()).toEqual({
      path: '/v1/completions',
      body: { model: 'llama', prompt: ['Once', 'Twice'], echo: true },
    });
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({
      operation: 'text_completion',
      costNanoUsd: 7000n,
      usageSource: 'reported',
    });
  });

  test('streamed: its usage is asked for, booked, and kept from a client that did not ask', async () => {
    const last = { id: 'cmpl-1', object: 'text_completion', choices: [], usage };
    const chunks = [chunk(' sa'), chunk('id'), chunk('', 'stop'), last].map(each => JSON.stringify(each));
    upstream.use(ssePlan([...chunks, '[DONE]'].map(data => ({ data }))));
    const texts = [];
    for await (const each of await sdk.completions.create({ model: 'old', prompt: 'x', stream: true })) {
      expect(each.usage ?? null).toBeNull();
      texts.push(each.choices[0]?.text);
    }
    expect(texts).toEqual([' sa', 'id', '']);
    expect(sent().body).toMatchObject({ stream_options: { include_usage: true } });
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ costNanoUsd: 7000n });
  });

  test('a model whose provider has none is refused, and nobody is asked', async () => {
    const before = upstream.requests.length;
    await expect(sdk.completions.create({ model: 'other', prompt: 'x' })).rejects.toMatchObject({
      status: 400,
      error: { message: expect.stringContaining('other') },
    });
    expect(upstream.requests.length).toBe(before);
  });
});

test("a response to a prompt of the vendor's alone is kept, and can be gone on from", async () => {
  const said = {
    type: 'message',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'Hi.', annotations: [] }],
  };
  upstream.use(
    jsonPlan({
      id: 'resp_p',
      object: 'response',
      status: 'completed',
      model: 'gpt',
      output: [{ id: 'msg_p', ...said }],
    }),
  );
  const first = await sdk.responses.create({ model: 'new', prompt: { id: 'pmpt_1' } });
  expect(sent().body).toEqual({ model: 'gpt', prompt: { id: 'pmpt_1' } });
  await sdk.responses.create({ model: 'new', previous_response_id: first.id, input: 'And?' });
  expect(sent().body.input).toMatchObject([said, { content: 'And?' }]);
});

describe('compaction', () => {
  const output = [{ id: 'cmp_1', type: 'compaction', encrypted_content: 'abc' }];
  const compacted = {
    id: 'resp_1',
    object: 'response.compaction',
    created_at: 1,
    output,
    usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
  };

  test('passed on, with what came before it in its input, and priced', async () => {
    const said = {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: 'Hi.', annotations: [] }],
    };
    upstream.use(
      jsonPlan({
        id: 'resp_0',
        object: 'response',
        status: 'completed',
        model: 'gpt',
        output: [{ id: 'msg_0', ...said }],
      }),
    );
    const first = await sdk.responses.create({ model: 'new', input: 'Hello.' });
    await gateway.recorded(1);
    upstream.use(jsonPlan(compacted));
    const answer = await sdk.responses.compact({ model: 'new', previous_response_id: first.id });
    expect(answer).toMatchObject({ object: 'response.compaction', output });
    expect(sent()).toMatchObject({
      path: '/v1/responses/compact',
      body: { model: 'gpt', input: [{ role: 'user', content: 'Hello.' }, said] },
    });
    expect(sent().body).not.toHaveProperty('previous_response_id');
    const record = (await gateway.recorded(2)).at(-1);
    expect(record).toMatchObject({ operation: 'compact', costNanoUsd: 7000n });
  });

  test('a model whose provider has none is refused', async () => {
    await expect(sdk.responses.compact({ model: 'other', input: 'x' })).rejects.toMatchObject({
      status: 400,
    });
  });
});
