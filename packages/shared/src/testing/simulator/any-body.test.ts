import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { placesIn, replaced } from '../json-places.ts';
import { type Simulator, startSimulator } from './simulator.ts';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});

// Closing rejects if any request was not answered by the protocol but by a failure of the simulator.
afterAll(() => simulator.close());

const schema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };
const text = 'Read the file /a/b.txt [[think: hm]]';
const messages = [{ role: 'user', content: text }];

const endpoints: readonly (readonly [path: string, body: object])[] = [
  [
    '/openai/v1/chat/completions',
    {
      model: 'gpt-5-mini',
      messages: [
        { role: 'system', content: [{ type: 'text', text: 'a' }] },
        ...messages,
        {
          role: 'assistant',
          tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'c', content: 'r' },
      ],
      tools: [{ type: 'function', function: { name: 'read_file', parameters: schema } }],
      tool_choice: { type: 'function', function: { name: 'read_file' } },
      response_format: { type: 'json_schema', json_schema: { name: 'n', schema } },
      stop: ['x'],
      stream: true,
      stream_options: { include_usage: true },
    },
  ],
  [
    '/openai/v1/responses',
    {
      model: 'gpt-5-mini',
      input: [
        { role: 'user', content: [{ type: 'input_text', text }] },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'c', output: 'r' },
      ],
      tools: [{ type: 'function', name: 'read_file', parameters: schema }],
      tool_choice: {
        type: 'allowed_tools',
        mode: 'required',
        tools: [{ type: 'function', name: 'read_file' }],
      },
      reasoning: { summary: 'auto' },
      text: { format: { type: 'json_schema', name: 'n', schema } },
      stream: true,
    },
  ],
  ['/openai/v1/embeddings', { model: 'text-embedding-3-small', input: ['a'], dimensions: 8 }],
  [
    '/anthropic/v1/messages',
    {
      model: 'claude-sonnet-5',
      max_tokens: 2000,
      system: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral' } }],
      messages: [
        ...messages,
        { role: 'assistant', content: [{ type: 'tool_use', id: 'c', name: 'f', input: {} }] },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 'c', content: [{ type: 'text', text: 'r' }] }],
        },
      ],
      tools: [{ name: 'read_file', input_schema: schema }],
      tool_choice: { type: 'auto' },
      thinking: { type: 'enabled', budget_tokens: 1024 },
      stream: true,
    },
  ],
  ['/anthropic/v1/messages/count_tokens', { model: 'claude-sonnet-5', messages }],
  ...['generateContent', 'streamGenerateContent'].map(
    method =>
      [
        `/gemini/v1beta/models/gemini-2.5-flash:${method}`,
        {
          contents: [
            { role: 'user', parts: [{ text }] },
            { role: 'model', parts: [{ functionCall: { name: 'f', args: {} } }] },
            { role: 'user', parts: [{ functionResponse: { name: 'f', response: { output: 'r' } } }] },
          ],
          tools: [{ functionDeclarations: [{ name: 'read_file', parameters: schema }] }],
          toolConfig: { functionCallingConfig: { mode: 'ANY' } },
          generationConfig: { responseMimeType: 'application/json', responseSchema: schema },
        },
      ] as const,
  ),
  ...['converse', 'converse-stream'].map(
    method =>
      [
        `/bedrock/model/sim-model/${method}`,
        {
          messages: [
            { role: 'user', content: [{ text }] },
            { role: 'assistant', content: [{ toolUse: { toolUseId: 'c', name: 'f', input: {} } }] },
            { role: 'user', content: [{ toolResult: { toolUseId: 'c', content: [{ json: { a: 1 } }] } }] },
          ],
          toolConfig: { tools: [{ toolSpec: { name: 'read_file', inputSchema: { json: schema } } }] },
          inferenceConfig: { maxTokens: 10 },
        },
      ] as const,
  ),
  [
    '/bedrock/model/anthropic.claude-sonnet-5/invoke',
    { anthropic_version: 'bedrock-2023-05-31', max_tokens: 10, messages },
  ],
];

describe('a body with one value replaced by any other', () => {
  it.each(endpoints)('is answered or refused: %s', async (path, body) => {
    const places = placesIn(body);
    expect((await send(path, body)).status).toBe(200);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...places), fc.jsonValue({ maxDepth: 3 }), async (place, value) => {
        const response = await send(path, replaced(body, place, value));
        expect([200, 400, 404]).toContain(response.status);
        await response.arrayBuffer();
      }),
      { numRuns: 150 },
    );
  });

  it.each(endpoints)('is refused if it is no JSON: %s', async path => {
    for (const bytes of ['', '{', 'null', '[]', '"a"', '\ufffd'])
      expect((await post(path, bytes)).status, bytes).toBe(400);
  });
});

function send(path: string, body: unknown): Promise<Response> {
  return post(path, JSON.stringify(body));
}

function post(path: string, body: string): Promise<Response> {
  const headers = { authorization: 'Bearer x', 'x-goog-api-key': 'x', 'anthropic-version': '2023-06-01' };
  return fetch(simulator.url + path, { method: 'POST', headers, body });
}
