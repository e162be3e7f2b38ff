import Anthropic from '@anthropic-ai/sdk';
import type { Message, MessageCreateParamsNonStreaming, Tool } from '@anthropic-ai/sdk/resources/messages';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '../simulator.ts';

let simulator: Simulator;
let client: Anthropic;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new Anthropic({ baseURL: `${simulator.url}/anthropic`, apiKey: 'any', maxRetries: 0 });
});

afterAll(() => simulator.close());

const model = 'claude-sonnet-5';
const getWeather: Tool = {
  name: 'get_weather',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const ask = (content: string) => ({
  model,
  max_tokens: 2000,
  messages: [{ role: 'user' as const, content }],
});
const thinking = { type: 'enabled' as const, budget_tokens: 1024 };

describe('messages, with the @anthropic-ai/sdk package', () => {
  it('answers with the words of the user', async () => {
    const { data, request_id, response } = await client.messages.create(ask('Good morning')).withResponse();
    expect(data.content).toEqual([{ type: 'text', text: 'You said: Good morning', citations: null }]);
    expect(data).toMatchObject({ stop_reason: 'end_turn', usage: { input_tokens: 6, output_tokens: 6 } });
    expect(request_id).toMatch(/^req_/);
    expect(response.headers.get('anthropic-ratelimit-requests-limit')).toBe('10000');
  });

  it.each<[string, MessageCreateParamsNonStreaming]>([
    ['a text', ask('[[words: 40]]')],
    ['a tool call', { ...ask('What is the weather in Paris?'), tools: [getWeather] }],
    [
      'words and parallel tool calls',
      {
        ...ask('[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]'),
        tools: [getWeather],
      },
    ],
    ['a call without arguments', { ...ask('[[tool: get_weather {}]]'), tools: [getWeather] }],
    ['thinking', { ...ask('[[think: I wonder.]] [[say: Well.]]'), thinking }],
    ['thinking and a call', { ...ask('What is the weather in Paris?'), thinking, tools: [getWeather] }],
    [
      'omitted thinking',
      { ...ask('[[think: I wonder.]] [[say: Well.]]'), thinking: { ...thinking, display: 'omitted' } },
    ],
    ['a refusal', ask('[[refuse]]')],
    ['an answer that is cut', { ...ask('[[words: 40]]'), max_tokens: 7 }],
    ['an answer that a stop sequence ends', { ...ask('[[words: 40]]'), stop_sequences: ['gateway'] }],
    ['no words at all', ask('[[say: ]]')],
    ['surrogate pairs', ask('[[say: a😀😀😀b👩‍👩‍👧c]]')],
  ])('streams %s, and it adds up to the whole answer', async (_name, request) => {
    const whole = await client.messages.create(request);
    const streamed = await client.messages.stream(request).finalMessage();
    expect(strip(streamed)).toEqual(strip(whole));
  });

  it('counts the same tokens before as on the bill', async () => {
    const request = { ...ask('What is the weather in Paris?'), tools: [getWeather], system: 'Be brief.' };
    const { max_tokens: _limit, ...prompt } = request;
    const { input_tokens } = await client.messages.countTokens(prompt);
    const answer = await client.messages.create(request);
    expect(answer.usage.input_tokens).toBe(input_tokens);
  });

  it('takes a tool loop with thinking, and only its own signatures', async () => {
    const request = { ...ask('What is the weather in Paris?'), thinking, tools: [getWeather] };
    const first = await client.messages.create(request);
    const [thought, use] = first.content;
    if (thought?.type !== 'thinking' || use?.type !== 'tool_use') throw new Error('no call');
    expect(use.input).toEqual({ city: 'Paris' });
    const result = { type: 'tool_result' as const, tool_use_id: use.id, content: 'Sunny, 21 °C' };
    const goOn = (content: Message['content']) =>
      client.messages.create({
        ...request,
        messages: [...request.messages, { role: 'assistant', content }, { role: 'user', content: [result] }],
      });
    const second = await goOn(first.content);
    expect(second.content.at(-1)).toMatchObject({ text: 'The tool answered: "Sunny, 21 °C".' });
    await expect(goOn([{ ...thought, thinking: 'I lie' }, use])).rejects.toThrow('Invalid `signature`');
  });

  it('writes the prompt cache first and reads it then', async () => {
    const system = [
      { type: 'text' as const, text: 'Rule. '.repeat(1000), cache_control: { type: 'ephemeral' as const } },
    ];
    const first = await client.messages.create({ ...ask('One'), system });
    const second = await client.messages.create({ ...ask('Two'), system });
    expect(first.usage.cache_creation_input_tokens).toBeGreaterThan(1400);
    expect(first.usage.cache_read_input_tokens).toBe(0);
    expect(second.usage.cache_read_input_tokens).toBe(first.usage.cache_creation_input_tokens);
    expect(second.usage.input_tokens).toBe(first.usage.input_tokens);
  });

  it('makes structured output', async () => {
    const answer = await client.messages.create({
      ...ask('Paris'),
      output_config: {
        format: {
          type: 'json_schema',
          schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
        },
      },
    });
    expect(answer.content[0]).toMatchObject({ text: '{"ok":true}' });
  });

  it.each<[string, object, number, string, string]>([
    [
      'no max_tokens',
      { model, messages: ask('a').messages },
      400,
      'invalid_request_error',
      'max_tokens: Field required',
    ],
    [
      'an unknown field',
      { ...ask('a'), foo: 1 },
      400,
      'invalid_request_error',
      'foo: Extra inputs are not permitted',
    ],
    ['an unknown model', { ...ask('a'), model: 'claude-0' }, 404, 'not_found_error', 'model: claude-0'],
    [
      'a conversation that the assistant begins',
      { ...ask('a'), messages: [{ role: 'assistant', content: 'a' }] },
      400,
      'invalid_request_error',
      'first message must use the \\"user\\" role',
    ],
    [
      'an empty text block',
      { ...ask('a'), messages: [{ role: 'user', content: [{ type: 'text', text: '' }] }] },
      400,
      'invalid_request_error',
      'text content blocks must be non-empty',
    ],
    [
      'a call without a result',
      {
        ...ask('a'),
        messages: [
          ...ask('a').messages,
          { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'f', input: {} }] },
          { role: 'user', content: 'b' },
        ],
      },
      400,
      'invalid_request_error',
      'messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1',
    ],
    [
      'a result without a call',
      {
        ...ask('a'),
        messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't9', content: 'x' }] }],
      },
      400,
      'invalid_request_error',
      'messages.0.content.0: unexpected `tool_use_id`',
    ],
    [
      'thinking with a forced tool',
      { ...ask('a'), thinking, tools: [getWeather], tool_choice: { type: 'any' } },
      400,
      'invalid_request_error',
      'Thinking may not be enabled',
    ],
  ])('refuses %s', async (_name, body, status, type, message) => {
    const failure = await client.messages.create(body as MessageCreateParamsNonStreaming).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Anthropic.APIError);
    expect(failure).toMatchObject({ status, type, error: { type: 'error' } });
    expect(String(failure)).toContain(message);
  });

  it('is retried by the SDK after a rate limit and after an overload', async () => {
    const retrying = new Anthropic({ baseURL: `${simulator.url}/anthropic`, apiKey: 'any', maxRetries: 2 });
    simulator.addFault({ bodyIncludes: 'retry me' }, 'status=429;retry-after=0', 1);
    simulator.addFault({ bodyIncludes: 'retry me' }, 'status=529;retry-after=0', 1);
    const answer = await retrying.messages.create(ask('retry me'));
    expect(answer.content[0]).toMatchObject({ text: 'You said: retry me' });
    const seen = simulator.requests.filter(request => request.body.includes('retry me'));
    expect(seen.map(request => request.status)).toEqual([429, 529, 200]);
  });

  it.each([
    ['error-event-after=4', { type: 'overloaded_error' }],
    ['cut-after-events=4', { name: 'TypeError' }],
    ['malformed-after-events=4', { name: 'SyntaxError' }],
  ])('breaks a stream as the SDK would meet it: %s', async (fault, error) => {
    const stream = client.messages.stream(ask('[[words: 40]]'), { headers: { 'x-sim-fault': fault } });
    const failure = await stream.finalMessage().catch((reason: unknown) => reason);
    const chain = [failure, (failure as Error).cause];
    expect(chain).toContainEqual(expect.objectContaining(error));
  });

  it('lists models', async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toContain(model);
    expect((await client.models.retrieve(model)).type).toBe('model');
  });

  it('refuses a request without a key', async () => {
    const response = await fetch(`${simulator.url}/anthropic/v1/models`);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ type: 'error', error: { type: 'authentication_error' } });
  });
});

/** Without what differs from answer to answer, and what the stream helper adds. */
function strip(message: Message): unknown {
  const content = message.content.map(block => (block.type === 'tool_use' ? { ...block, id: '' } : block));
  return JSON.parse(JSON.stringify({ ...message, id: '', content, parsed_output: undefined }));
}
