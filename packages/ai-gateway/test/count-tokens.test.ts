import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';
import { post } from './harness.ts';

/** Counting prompts by the official SDKs: by the provider where it can, else an estimate that says so. */

const matrix = useMatrixGateway();

const long = 'The quick brown fox jumps over the lazy dog. '.repeat(40);
const tools = [{ name: 'get_weather', input_schema: { type: 'object' as const, properties: {} } }];

describe.each(upstreams.map(({ name }) => name))('on %s', model => {
  test('Anthropic: count_tokens', async () => {
    const sdk = new Anthropic({ baseURL: matrix.gateway.url, apiKey: matrix.gateway.key, maxRetries: 0 });
    const count = (content: string) =>
      sdk.messages.countTokens({ model, tools, messages: [{ role: 'user', content }] });
    const few = (await count('Hi.')).input_tokens;
    const many = (await count(long)).input_tokens;
    expect(few).toBeGreaterThan(0);
    expect(many - few).toBeGreaterThan(300);
    expect(many).toBeLessThan(1000);
  });

  test('OpenAI: input_tokens', async () => {
    const sdk = new OpenAI({
      baseURL: `${matrix.gateway.url}/v1`,
      apiKey: matrix.gateway.key,
      maxRetries: 0,
    });
    const { object, input_tokens } = await sdk.responses.inputTokens.count({ model, input: long });
    expect(object).toBe('response.input_tokens');
    expect(input_tokens).toBeGreaterThan(300);
  });

  test.each(['v1beta', 'v1'])('Gemini: countTokens below %s', async apiVersion => {
    const httpOptions = { baseUrl: matrix.gateway.url, apiVersion };
    const sdk = new GoogleGenAI({ apiKey: matrix.gateway.key, httpOptions });
    const { totalTokens } = await sdk.models.countTokens({ model, contents: long });
    expect(totalTokens).toBeGreaterThan(300);
    expect(totalTokens).toBeLessThan(1000);
  });
});

test('Gemini counts itself what is written for it, with all that a whole request holds', async () => {
  const contents = [{ role: 'user', parts: [{ text: 'Hi.' }] }];
  const path = '/v1beta/models/gemini:countTokens';
  const countOf = async (answered: ReturnType<typeof post>): Promise<number> => {
    const answer = await answered;
    expect(answer.status).toBe(200);
    expect(answer.headers['x-strata-estimated']).toBeUndefined();
    expect(matrix.simulator.requests.at(-1)?.path).toContain(':countTokens');
    const body = JSON.parse(answer.body.toString());
    return body.totalTokens ?? body.input_tokens;
  };
  const bare = await countOf(post(matrix.gateway, path, { contents }));
  const systemInstruction = { parts: [{ text: long }] };
  const request = { model: 'models/gemini', contents, systemInstruction };
  const whole = await countOf(post(matrix.gateway, path, { generateContentRequest: request }));
  expect(whole - bare).toBeGreaterThan(300);
  const anthropic = { model: 'gemini', system: long, messages: [{ role: 'user', content: 'Hi.' }] };
  expect(await countOf(post(matrix.gateway, '/v1/messages/count_tokens', anthropic))).toBe(whole);
});

test('Gemini: an estimate says that it is one, and a refusal is in its shape', async () => {
  const contents = [{ role: 'user', parts: [{ text: 'Hi.' }] }];
  const estimated = await post(matrix.gateway, '/v1/models/openai-chat:countTokens', { contents });
  expect(estimated.headers['x-strata-estimated']).toBe('true');
  const unknown = await post(matrix.gateway, '/v1/models/nobody:countTokens', { contents });
  expect(unknown.status).toBe(404);
  expect(JSON.parse(unknown.body.toString())).toMatchObject({ error: { status: 'NOT_FOUND' } });
});

test("the provider's own count is taken where it has one, and an estimate says that it is one", async () => {
  const body = { messages: [{ role: 'user', content: 'Hi.' }] };
  const counted = await post(matrix.gateway, '/v1/messages/count_tokens', {
    model: 'anthropic-messages',
    ...body,
  });
  expect(counted.headers['x-strata-estimated']).toBeUndefined();
  expect(matrix.simulator.requests.at(-1)?.path).toContain('count_tokens');
  const estimated = await post(matrix.gateway, '/v1/messages/count_tokens', {
    model: 'openai-chat',
    ...body,
  });
  expect(estimated.headers['x-strata-estimated']).toBe('true');
  const refused = await post(matrix.gateway, '/v1/messages/count_tokens', {
    model: 'anthropic-messages',
    messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'nobody', content: 'x' }] }],
  });
  expect(refused.status).toBe(400);
  expect(JSON.parse(refused.body.toString())).toMatchObject({ error: { type: 'invalid_request_error' } });
  expect(matrix.gateway.records).toEqual([]);
});
