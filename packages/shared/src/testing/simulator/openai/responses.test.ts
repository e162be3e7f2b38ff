import OpenAI from 'openai';
import type { FunctionTool, ResponseCreateParamsNonStreaming } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '../simulator.ts';

let simulator: Simulator;
let client: OpenAI;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new OpenAI({ baseURL: `${simulator.url}/openai/v1`, apiKey: 'sk-any', maxRetries: 0 });
});

afterAll(() => simulator.close());

const model = 'gpt-5-mini';
const getWeather: FunctionTool = {
  type: 'function',
  name: 'get_weather',
  strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

describe('responses, with the openai package', () => {
  it('answers with the words of the user', async () => {
    const answer = await client.responses.create({ model, input: 'Good morning' });
    expect(answer.output_text).toBe('You said: Good morning');
    expect(answer).toMatchObject({
      status: 'completed',
      usage: { input_tokens: 6, output_tokens: 6, total_tokens: 12 },
    });
  });

  it.each<[string, Omit<ResponseCreateParamsNonStreaming, 'model'>]>([
    ['a text', { input: '[[words: 40]]' }],
    ['a call', { input: 'What is the weather in Paris?', tools: [getWeather] }],
    [
      'words and parallel calls',
      {
        input: '[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]',
        tools: [getWeather],
      },
    ],
    [
      'a call of a custom tool',
      { input: '[[tool: shell echo 1]]', tools: [{ type: 'custom', name: 'shell' }] },
    ],
    [
      'reasoning with a summary',
      { input: '[[think: I wonder.]] [[say: Well.]]', reasoning: { summary: 'auto' } },
    ],
    [
      'reasoning that is kept by the client',
      {
        input: '[[think: I wonder.]] [[say: Well.]]',
        reasoning: { effort: 'low' },
        store: false,
        include: ['reasoning.encrypted_content'],
      },
    ],
    ['a refusal', { input: '[[refuse]]' }],
    ['an answer that is cut', { input: '[[words: 100]]', max_output_tokens: 16 }],
  ])('streams %s, and it adds up to the whole answer', async (_name, request) => {
    const whole = await client.responses.create({ model, ...request });
    // The two parameter types differ in nothing but how they write "optional".
    const params = { model, ...request } as object as Parameters<typeof client.responses.stream>[0];
    const streamed = await client.responses.stream(params).finalResponse();
    expect(strip(streamed)).toEqual(strip(whole));
  });

  it('numbers its events, and every delta belongs to an item that was added', async () => {
    const stream = await client.responses.create({ model, input: 'Hello', stream: true });
    const types: string[] = [];
    for await (const event of stream) {
      expect(event.sequence_number).toBe(types.length);
      types.push(event.type);
    }
    expect([...new Set(types)]).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ]);
  });

  it('goes on from a stored answer, and forgets it when told', async () => {
    const first = await client.responses.create({
      model,
      input: 'What is the weather in Paris?',
      tools: [getWeather],
    });
    const [call] = first.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    expect(JSON.parse(call.arguments)).toEqual({ city: 'Paris' });
    const output = { type: 'function_call_output' as const, call_id: call.call_id, output: 'Sunny' };
    const second = await client.responses.create({ model, previous_response_id: first.id, input: [output] });
    expect(second.output_text).toBe('The tool answered: "Sunny".');
    expect((await client.responses.retrieve(first.id)).output).toEqual(first.output);
    expect((await client.responses.inputItems.list(second.id)).data).toHaveLength(3);
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
  });

  it.each<[string, object, number, string]>([
    ['no input', {}, 400, "Missing required parameter: 'input'."],
    ['an unknown field', { input: 'a', foo: 1 }, 400, "Unknown parameter: 'foo'."],
    ['an unknown earlier answer', { input: 'a', previous_response_id: 'resp_0' }, 404, "'resp_0' not found"],
    [
      'an output without a call',
      { input: [{ type: 'function_call_output', call_id: 'c', output: '' }] },
      400,
      'No tool call found for function call output with call_id c.',
    ],
    [
      'a call without an output',
      { input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' }] },
      400,
      'No tool output found for function call c.',
    ],
    [
      'reasoning that somebody else encrypted',
      { input: [{ type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'x' }] },
      400,
      'could not be verified',
    ],
  ])('refuses %s', async (_name, body, status, message) => {
    const failure = await client.responses.create({ model, ...body }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ status, type: 'invalid_request_error' });
    expect(String(failure)).toContain(message);
  });

  it('says in the stream that it failed', async () => {
    const stream = await client.responses.create({
      model,
      input: 'Hi [[fault: error-event-after=3]]',
      stream: true,
    });
    const read = async () => {
      for await (const event of stream) void event;
    };
    await expect(read()).rejects.toThrow('The simulator was told to fail.');
  });
});

/** Without what differs from answer to answer, and what the stream helper adds. */
function strip(response: object): unknown {
  return JSON.parse(
    JSON.stringify(response, (key, value: unknown) => {
      if (/^(parsed|parsed_arguments|output_parsed|output_text)$/.test(key)) return undefined;
      return /^(id|call_id|created_at|completed_at)$/.test(key) ? key : value;
    }),
  );
}
