import Anthropic from '@anthropic-ai/sdk';
import type { Tool } from '@anthropic-ai/sdk/resources/messages';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import OpenAI from 'openai';
import type { ChatCompletionTool } from 'openai/resources/chat/completions';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';

/** The official SDKs with nothing but their base URL and key changed, against the provider simulator. */

let simulator: Simulator;
let gateway: RunningGateway;
let openai: OpenAI;
let anthropic: Anthropic;

const prices = { input: '3', output: '15', cache_read: '0.3', cache_write: '3.75', cache_write_1h: '6' };

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startGateway({
    section: {
      providers: {
        'sim-openai': {
          type: 'openai-compatible',
          base_url: `${simulator.url}/openai/v1`,
          api_key: 'sk-provider',
          allow_private: true,
        },
        'sim-anthropic': {
          type: 'anthropic',
          base_url: `${simulator.url}/anthropic`,
          api_key: 'sk-provider',
          allow_private: true,
        },
      },
      models: {
        fast: { targets: [{ provider: 'sim-openai', model: 'gpt-4.1-mini', prices }] },
        careful: { targets: [{ provider: 'sim-anthropic', model: 'claude-sonnet-5', prices }] },
      },
      breaker: { failures: 1000 },
      attempts: { max_rounds: 1 },
    },
  });
  openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });
});
afterAll(async () => {
  await gateway.close();
  await simulator.close();
});
beforeEach(() => {
  simulator.clearFaults();
  gateway.records.length = 0;
});

const chat = (content: string) => ({ model: 'fast', messages: [{ role: 'user' as const, content }] });
const message = (content: string) => ({
  model: 'careful',
  max_tokens: 2000,
  messages: [{ role: 'user' as const, content }],
});
const parameters = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };
const chatTool: ChatCompletionTool = { type: 'function', function: { name: 'get_weather', parameters } };
const messageTool: Tool = { name: 'get_weather', input_schema: parameters };

describe('openai', () => {
  test('completes', async () => {
    const { data, request_id, response } = await openai.chat.completions
      .create(chat('[[say: Hello.]]'))
      .withResponse();
    expect(data.choices[0]?.message.content).toBe('Hello.');
    expect(data.model).toContain('gpt-4.1-mini');
    expect(request_id).toMatch(/^req_/);
    const cost = BigInt(response.headers.get('x-strata-cost-nano-usd') ?? '-1');
    const { prompt_tokens = 0, completion_tokens = 0 } = data.usage ?? {};
    expect(cost).toBe(BigInt(prompt_tokens) * 3000n + BigInt(completion_tokens) * 15_000n);
  });

  test('streams, and what is streamed adds up to the whole answer', async () => {
    const whole = await openai.chat.completions.create(chat('[[words: 60]]'));
    const stream = openai.chat.completions.stream(chat('[[words: 60]]'));
    expect(await stream.finalContent()).toBe(whole.choices[0]?.message.content);
    expect((await stream.finalChatCompletion()).choices[0]?.finish_reason).toBe('stop');
    const records = await gateway.recorded(2);
    expect(records[1]?.usage).toEqual(records[0]?.usage);
    expect(records[1]?.costNanoUsd).toEqual(records[0]?.costNanoUsd);
  });

  test('gets the usage of a stream when it asks, and no usage chunk when it does not', async () => {
    const usages = async (more: object) => {
      const stream = await openai.chat.completions.create({ ...chat('[[words: 9]]'), stream: true, ...more });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      return chunks.filter(chunk => chunk.usage != null).length;
    };
    expect(await usages({ stream_options: { include_usage: true } })).toBe(1);
    expect(await usages({})).toBe(0);
  });

  test('calls tools, in parallel, whole and streamed, and takes their results', async () => {
    const ask = {
      ...chat('[[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]'),
      tools: [chatTool],
    };
    const whole = (await openai.chat.completions.create(ask)).choices[0]?.message;
    const streamed = (await openai.chat.completions.stream(ask).finalChatCompletion()).choices[0]?.message;
    const callsOf = (calls: typeof whole) =>
      calls?.tool_calls?.map(call => (call.type === 'function' ? call.function.arguments : undefined));
    expect(callsOf(whole)).toEqual(['{"city":"Rome"}', '{"city":"Oslo"}']);
    expect(callsOf(streamed)).toEqual(callsOf(whole));
    if (!whole) throw new Error('no message');
    const results = (whole.tool_calls ?? []).map(call => ({
      role: 'tool' as const,
      tool_call_id: call.id,
      content: 'Sunny, 21 °C',
    }));
    const answer = await openai.chat.completions.create({
      ...ask,
      messages: [...ask.messages, whole, ...results],
    });
    expect(answer.choices[0]?.message.content).toContain('Sunny');
  });

  test.each([
    [400, OpenAI.BadRequestError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
  ])('%i of the provider is the error class that the SDK has for it', async (status, errorClass) => {
    simulator.addFault({}, `status=${status}`, 1);
    await expect(openai.chat.completions.create(chat('x'))).rejects.toBeInstanceOf(errorClass);
  });

  test("the provider's refusal of the gateway's key is not told as the caller's", async () => {
    simulator.addFault({}, 'status=401', 1);
    await expect(openai.chat.completions.create(chat('x'))).rejects.toMatchObject({
      status: 502,
      code: 'upstream_credential_refused',
    });
  });

  test('an unknown model, a bad key and a body that is refused', async () => {
    await expect(openai.chat.completions.create({ ...chat('x'), model: 'fst' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    });
    const stranger = openai.withOptions({ apiKey: 'sk-strata-not-a-key' });
    await expect(stranger.chat.completions.create(chat('x'))).rejects.toBeInstanceOf(
      OpenAI.AuthenticationError,
    );
  });

  test('the SDK repeats what may succeed, and only that', async () => {
    const patient = openai.withOptions({ maxRetries: 2 });
    simulator.addFault({}, 'status=500', 1);
    const answer = await patient.chat.completions.create(chat('[[say: At last.]]'));
    expect(answer.choices[0]?.message.content).toBe('At last.');
    const before = simulator.requests.length;
    simulator.addFault({}, 'status=401');
    await expect(patient.chat.completions.create(chat('x'))).rejects.toMatchObject({ status: 502 });
    expect(simulator.requests.length - before).toBe(1);
  });

  test('an error inside a stream is thrown', async () => {
    simulator.addFault({}, 'cut-after-events=5', 1);
    const stream = await openai.chat.completions.create({ ...chat('[[words: 50]]'), stream: true });
    const read = async () => {
      for await (const _chunk of stream);
    };
    await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError);
  });

  test('leaving the loop cancels the attempt', async () => {
    const slow = await startSimulator({ tokensPerSecond: 20 });
    const own = await startGateway({
      section: {
        providers: {
          sim: {
            type: 'openai-compatible',
            base_url: `${slow.url}/openai/v1`,
            api_key: 'x',
            allow_private: true,
          },
        },
        models: { fast: { targets: [{ provider: 'sim', model: 'sim-model' }] } },
      },
    });
    const client = new OpenAI({ baseURL: `${own.url}/v1`, apiKey: own.key });
    const stream = await client.chat.completions.create({ ...chat('[[words: 500]]'), stream: true });
    for await (const _chunk of stream) break;
    const [record] = await own.recorded(1);
    expect(record?.outcome).toBe('cancelled');
    await own.close();
    await slow.close();
  });

  test('lists models', async () => {
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    expect(ids).toEqual(['fast', 'careful']);
    expect(await openai.models.retrieve('fast')).toMatchObject({ id: 'fast', object: 'model' });
  });
});

describe('@anthropic-ai/sdk', () => {
  test('completes', async () => {
    const { data, request_id, response } = await anthropic.messages
      .create(message('[[say: Hello.]]'))
      .withResponse();
    expect(data.content).toMatchObject([{ type: 'text', text: 'Hello.' }]);
    expect(request_id).toMatch(/^req_/);
    expect(response.headers.get('x-strata-provider')).toBe('sim-anthropic');
    const cost = BigInt(response.headers.get('x-strata-cost-nano-usd') ?? '-1');
    expect(cost).toBe(BigInt(data.usage.input_tokens) * 3000n + BigInt(data.usage.output_tokens) * 15_000n);
  });

  test('a bearer token instead of an API key', async () => {
    const client = new Anthropic({ baseURL: gateway.url, apiKey: null, authToken: gateway.key });
    expect((await client.messages.create(message('[[say: Hi.]]'))).content).toMatchObject([{ text: 'Hi.' }]);
  });

  test.each([
    ['a text', message('[[words: 60]]')],
    [
      'thinking',
      {
        ...message('[[think: I wonder.]] [[say: Well.]]'),
        thinking: { type: 'enabled' as const, budget_tokens: 1024 },
      },
    ],
    [
      'tool calls',
      {
        ...message(
          '[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]',
        ),
        tools: [messageTool],
      },
    ],
  ])('streams %s, and it adds up to the whole answer', async (_name, request) => {
    const whole = await anthropic.messages.create(request);
    const streamed = await anthropic.messages.stream(request).finalMessage();
    const shape = (content: readonly object[]) =>
      content.map(block => ({
        ...block,
        id: undefined,
        signature: undefined,
        citations: undefined,
        caller: undefined,
      }));
    expect(shape(streamed.content)).toEqual(shape(whole.content));
    expect(streamed.stop_reason).toBe(whole.stop_reason);
    const records = await gateway.recorded(2);
    expect(records[1]?.usage).toEqual(records[0]?.usage);
    expect(records[1]?.costNanoUsd).toEqual(records[0]?.costNanoUsd);
  });

  test('a tool loop to its end', async () => {
    const ask = { ...message('What is the weather in Paris?'), tools: [messageTool] };
    const first = await anthropic.messages.create(ask);
    const use = first.content.find(block => block.type === 'tool_use');
    if (!use) throw new Error('no tool call');
    expect(use.input).toEqual({ city: 'Paris' });
    const answer = await anthropic.messages.create({
      ...ask,
      messages: [
        ...ask.messages,
        { role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'Sunny, 21 °C' }] },
      ],
    });
    expect(JSON.stringify(answer.content)).toContain('Sunny');
  });

  test('cached tokens are counted once', async () => {
    await anthropic.messages.create(message('[[cached: 4]] [[cache_write: 3]] [[say: x]]'));
    const [record] = await gateway.recorded(1);
    expect(record?.usage).toMatchObject({ cacheRead: 4, cacheWrite: 3 });
    const { usage } = record ?? {};
    const expected = (usage?.input ?? 0) * 3000 + 4 * 300 + 3 * 3750 + (usage?.output ?? 0) * 15_000;
    expect(record?.costNanoUsd).toBe(BigInt(expected));
  });

  test.each([
    [400, Anthropic.BadRequestError],
    [429, Anthropic.RateLimitError],
    [500, Anthropic.InternalServerError],
    [529, Anthropic.InternalServerError],
  ])('%i of the provider is the error class that the SDK has for it', async (status, errorClass) => {
    simulator.addFault({}, `status=${status}`, 1);
    await expect(anthropic.messages.create(message('x'))).rejects.toBeInstanceOf(errorClass);
  });

  test('an unknown model and a bad key', async () => {
    await expect(anthropic.messages.create({ ...message('x'), model: 'carefull' })).rejects.toBeInstanceOf(
      Anthropic.NotFoundError,
    );
    const stranger = anthropic.withOptions({ apiKey: 'sk-strata-not-a-key' });
    await expect(stranger.messages.create(message('x'))).rejects.toBeInstanceOf(
      Anthropic.AuthenticationError,
    );
  });

  test('an error inside a stream is thrown', async () => {
    simulator.addFault({}, 'end-after-events=6', 1);
    const stream = anthropic.messages.stream(message('[[words: 50]]'));
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIError);
  });

  test('lists models', async () => {
    const ids = [];
    for await (const model of anthropic.models.list()) ids.push(model.id);
    expect(ids).toEqual(['fast', 'careful']);
    expect(await anthropic.models.retrieve('careful')).toMatchObject({ id: 'careful', type: 'model' });
  });
});
