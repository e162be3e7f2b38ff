import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import type { ChatCompletionMessageParam, ChatCompletionTool } from 'openai/resources/chat/completions';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { type Simulator, startSimulator } from '../simulator.ts';

let simulator: Simulator;
let client: OpenAI;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new OpenAI({ baseURL: `${simulator.url}/openai/v1`, apiKey: 'sk-any', maxRetries: 0 });
});

afterAll(() => simulator.close());

const readFile: ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'read_file',
    description: 'Reads a text file',
    parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
  },
};
const writeFile: ChatCompletionTool = {
  type: 'function',
  function: {
    name: 'write_file',
    parameters: {
      type: 'object',
      properties: { path: { type: 'string' }, content: { type: 'string' } },
      required: ['path', 'content'],
    },
  },
};

const say = (content: string): ChatCompletionMessageParam[] => [{ role: 'user', content }];

describe('chat completions, with the openai package', () => {
  it('answers with the words of the user', async () => {
    const answer = await client.chat.completions.create({
      model: 'gpt-5-mini',
      messages: say('Good morning'),
    });
    expect(answer.choices[0]?.message.content).toBe('You said: Good morning');
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    expect(answer.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 6, total_tokens: 12 });
  });

  it.each([
    ['a text', {}, say('[[words: 40]]')],
    ['a tool call', { tools: [readFile] }, say('Please read the file /tmp/a.txt')],
    [
      'parallel tool calls',
      { tools: [readFile, writeFile] },
      say('[[tools: read_file {"path":"a"} ; write_file {"path":"b","content":"[[x]]; y"}]]'),
    ],
    ['a call without arguments', { tools: [readFile] }, say('[[tool: read_file]]')],
    ['a refusal', {}, say('[[refuse: I would rather not.]]')],
    ['an answer that is cut', { max_completion_tokens: 5 }, say('[[words: 40]]')],
    ['an answer that a stop sequence ends', { stop: ['gateway'] }, say('[[words: 40]]')],
    ['several choices', { n: 3 }, say('Hello')],
    ['hidden reasoning', { reasoning_effort: 'high' as const }, say('[[think: I wonder.]] [[say: Well.]]')],
    ['surrogate pairs', {}, say('[[say: a😀😀😀b👩‍👩‍👧c]]')],
    ['an empty text', {}, say('[[say: ]]')],
  ])('streams %s that adds up to the whole answer', async (_name, options, messages) => {
    const request = { model: 'gpt-5-mini', messages, ...options };
    const whole = await client.chat.completions.create(request);
    const stream = client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    });
    // The helper refuses to hand out an answer that was cut; the chunks it read are compared in any case.
    const streamed = await stream.finalChatCompletion();
    expect(strip(streamed)).toEqual(strip(whole));
  });

  it('shows reasoning text where the vendor does', async () => {
    const request = { model: 'deepseek-reasoner', messages: say('[[think: I wonder.]] [[say: Well.]]') };
    const whole = await client.chat.completions.create(request);
    expect(whole.choices[0]?.message).toMatchObject({ content: 'Well.', reasoning_content: 'I wonder.' });
    let reasoning = '';
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      reasoning +=
        (chunk.choices[0]?.delta as { reasoning_content?: string } | undefined)?.reasoning_content ?? '';
    expect(reasoning).toBe('I wonder.');
    expect(whole.usage?.completion_tokens_details?.reasoning_tokens).toBe(3);
  });

  it('sends usage only to those who ask for it', async () => {
    const request = { model: 'gpt-5-mini', messages: say('Hi'), stream: true as const };
    const plain = await collect(await client.chat.completions.create(request));
    expect(plain.every(chunk => !('usage' in chunk))).toBe(true);
    const asked = await collect(
      await client.chat.completions.create({ ...request, stream_options: { include_usage: true } }),
    );
    expect(asked.slice(0, -1).every(chunk => chunk.usage === null)).toBe(true);
    expect(asked.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 7 } });
  });

  it('parses structured output', async () => {
    const shape = z.object({ city: z.string(), population: z.number().int(), twin: z.array(z.string()) });
    const answer = await client.chat.completions.parse({
      model: 'gpt-5-mini',
      messages: say('Tell me about Paris'),
      response_format: zodResponseFormat(shape, 'city'),
    });
    expect(shape.safeParse(answer.choices[0]?.message.parsed).success).toBe(true);
  });

  it('runs the tools that the prompt asks for, one after the other, and then speaks', async () => {
    const runner = client.chat.completions.runTools({
      model: 'gpt-5-mini',
      messages: say('Read the file /tmp/in.txt and then write the result to /tmp/out.txt.'),
      tools: [
        { ...readFile, function: { ...fn(readFile), parse: JSON.parse, function: () => 'the text' } },
        { ...writeFile, function: { ...fn(writeFile), parse: JSON.parse, function: () => 'done' } },
      ],
    });
    expect(await runner.finalContent()).toBe('The tool answered: "done".');
    const calls = runner.messages.flatMap(message =>
      'tool_calls' in message ? (message.tool_calls ?? []) : [],
    );
    expect(
      calls.map(call => 'function' in call && [call.function.name, JSON.parse(call.function.arguments)]),
    ).toEqual([
      ['read_file', { path: '/tmp/in.txt' }],
      ['write_file', { path: '/tmp/out.txt', content: 'the text' }],
    ]);
  });

  it('honours tool_choice', async () => {
    const request = { model: 'gpt-5-mini', tools: [readFile, writeFile], messages: say('Hello') };
    const free = await client.chat.completions.create(request);
    expect(free.choices[0]?.message.tool_calls).toBeUndefined();
    const forced = await client.chat.completions.create({ ...request, tool_choice: 'required' });
    expect(forced.choices[0]?.finish_reason).toBe('tool_calls');
    const named = await client.chat.completions.create({
      ...request,
      tool_choice: { type: 'function', function: { name: 'write_file' } },
    });
    expect(named.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: 'write_file' } });
    const none = await client.chat.completions.create({
      ...request,
      messages: say('Read the file /a'),
      tool_choice: 'none',
    });
    expect(none.choices[0]?.message.tool_calls).toBeUndefined();
  });

  it.each([
    ['no messages', { model: 'gpt-5-mini' }, 400, "Missing required parameter: 'messages'.", 'messages'],
    [
      'an unknown field',
      { model: 'gpt-5-mini', messages: say('a'), foo: 1 },
      400,
      "Unknown parameter: 'foo'.",
      'foo',
    ],
    ['an unknown model', { model: 'nope', messages: say('a') }, 404, 'The model `nope` does not exist', null],
    [
      'a wrong type',
      { model: 'gpt-5-mini', messages: 'a' },
      400,
      "Invalid type for 'messages': expected an array, but got a string instead.",
      'messages',
    ],
    [
      'a tool result without a call',
      { model: 'gpt-5-mini', messages: [{ role: 'tool', content: 'x', tool_call_id: 'y' }] },
      400,
      "messages with role 'tool' must be a response",
      'messages.[0].role',
    ],
    [
      'a call without a result',
      {
        model: 'gpt-5-mini',
        messages: [
          { role: 'user', content: 'a' },
          {
            role: 'assistant',
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
          },
          { role: 'user', content: 'b' },
        ],
      },
      400,
      'The following tool_call_ids did not have response messages: c1',
      'messages',
    ],
  ])('refuses %s', async (_name, body, status, message, param) => {
    const failure = await client.chat.completions.create(body as never).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(OpenAI.APIError);
    expect(failure).toMatchObject({ status, param, type: 'invalid_request_error' });
    expect(String(failure)).toContain(message);
  });

  it('refuses a request without a key', async () => {
    const response = await fetch(`${simulator.url}/openai/v1/models`);
    expect(response.status).toBe(401);
  });

  it('lists models and makes embeddings', async () => {
    const models = await collect(await client.models.list());
    expect(models.map(model => model.id)).toContain('gpt-5-mini');
    const { data, usage } = await client.embeddings.create({
      model: 'text-embedding-3-small',
      input: ['red apples', 'red apple trees', 'quantum physics'],
    });
    expect(data.map(item => item.embedding.length)).toEqual([1536, 1536, 1536]);
    const [a, b, c] = data.map(item => item.embedding);
    expect(dot(a, b)).toBeGreaterThan(dot(a, c));
    expect(usage.prompt_tokens).toBe(11);
  });
});

function fn(tool: ChatCompletionTool) {
  if (tool.type !== 'function') throw new Error('not a function');
  return tool.function as never as { name: string; description: string; parameters: object };
}

function dot(a: number[] = [], b: number[] = []): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Without what differs from answer to answer, and what only one of the two forms has. */
function strip(completion: OpenAI.ChatCompletion): unknown {
  return JSON.parse(
    JSON.stringify({ ...completion, id: '', created: 0 }, (key, value: unknown) => {
      if (key === 'parsed' || key === 'parsed_arguments' || key === 'annotations') return undefined;
      if (key === 'id' && typeof value === 'string' && value.startsWith('call_')) return 'call';
      return value;
    }),
  );
}
