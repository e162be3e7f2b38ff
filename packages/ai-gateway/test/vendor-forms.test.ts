import Anthropic from '@anthropic-ai/sdk';
import { CountTokensCommand } from '@aws-sdk/client-bedrock-runtime';
import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import { jsonPlan, slicedStreamPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { chatRequest, messagesRequest, post, type RunningGateway, startGateway } from './harness.ts';
import { chatCompletion, message, messageStream } from './recordings.ts';
import { bedrockClient } from './support/bedrock-client.ts';

/** What a vendor or a host does differently from the protocol it speaks, on requests whose bytes pass and on those that are written anew. */

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  const at = { base_url: upstream.url, allow_private: true, api_key: 'sk-provider' };
  const providers = {
    mistral: { ...at, type: 'mistral' },
    deepseek: { ...at, type: 'deepseek' },
    own: { ...at, type: 'openai-compatible', lacks: ['json-schema', 'json-object'] },
    vertex: { ...at, type: 'vertex', project: 'p1', publisher: 'anthropic' },
    gemini: { ...at, type: 'vertex', project: 'p1' },
    invoke: { ...at, type: 'bedrock', region: 'eu-central-1', api: 'invoke' },
    converse: { ...at, type: 'bedrock', region: 'eu-central-1' },
  };
  const models = Object.fromEntries(
    Object.keys(providers).map(name => [name, { targets: [{ provider: name, model: 'claude-m' }] }]),
  );
  gateway = await startGateway({ section: { providers, models, attempts: { max_rounds: 1 } } });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(() => upstream.use(jsonPlan(chatCompletion)));

const sentBytes = () => upstream.requests.at(-1)?.body().toString() ?? '';
const sent = () => JSON.parse(sentBytes()) as Record<string, unknown>;
const openai = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
const anthropic = () => new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });

describe('[AI-2] quirks of a vendor on bytes that pass', () => {
  test('members are renamed and left out in place, every other byte stays, and what was left out is told', async () => {
    const body =
      '{ "user" : "u",\n "model":"mistral", "verbosity":"low" , "max_completion_tokens" : 5 ,"x":1e2, "messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe"}], "seed": 7,"metadata":{"a":"}"} }';
    const answer = await post(gateway, '/v1/chat/completions', body);
    expect(answer.status).toBe(200);
    expect(sentBytes()).toBe(
      '{ "model":"claude-m", "max_tokens" : 5 ,"x":1e2, "messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe"}], "random_seed": 7 }',
    );
    expect(answer.headers['x-strata-changed']).toBe('verbosity=dropped, metadata=dropped, user=dropped');
  });

  test('the first, the last, the only member; a key with escapes; both names of one thing', async () => {
    const ask = async (body: string) => {
      await post(gateway, '/v1/chat/completions', body);
      return sent();
    };
    const messages = [{ role: 'user', content: 'Hi' }];
    const tail = `"messages":${JSON.stringify(messages)}`;
    expect(await ask(`{"model":"mistral","us\\u0065r":"u",${tail}}`)).toEqual({
      model: 'claude-m',
      messages,
    });
    expect(await ask(`{"user":"u","model":"mistral",${tail},"user":"v","metadata":{}}`)).toEqual({
      model: 'claude-m',
      messages,
    });
    expect(await ask(`{"max_tokens":1,"model":"mistral","max_completion_tokens":2,${tail}}`)).toEqual({
      model: 'claude-m',
      max_tokens: 1,
      messages,
    });
  });
});

describe('ids of tool calls of nine letters and digits', () => {
  const call = (id: string) => ({ id, type: 'function' as const, function: { name: 'f', arguments: '{}' } });
  const history = (id: string) => [
    { role: 'user' as const, content: 'Hi' },
    { role: 'assistant' as const, content: null, tool_calls: [call(id)] },
    { role: 'tool' as const, tool_call_id: id, content: 'done' },
  ];
  const idsSent = () => {
    const [, assistant, tool] = sent().messages as [
      object,
      { tool_calls: { id: string }[] },
      { tool_call_id: string },
    ];
    return [assistant.tool_calls[0]?.id, tool.tool_call_id];
  };

  test('foreign ids are shortened alike in every turn, by both protocols; its own stay', async () => {
    await openai().chat.completions.create({ model: 'mistral', messages: history('call_0123456789abcdef') });
    const [first, second] = idsSent();
    expect(first).toMatch(/^[A-Za-z0-9]{9}$/);
    expect(second).toBe(first);
    await anthropic().messages.create({
      model: 'mistral',
      max_tokens: 10,
      messages: [
        { role: 'user', content: 'Hi' },
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: 'call_0123456789abcdef', name: 'f', input: {} }],
        },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 'call_0123456789abcdef', content: 'x' }],
        },
      ],
    });
    expect(idsSent()).toEqual([first, first]);
    await openai().chat.completions.create({ model: 'mistral', messages: history('AbCdEf123') });
    expect(idsSent()).toEqual(['AbCdEf123', 'AbCdEf123']);
  });
});

describe.each(['deepseek', 'own'])('structured output on %s, which has no mode for a schema', model => {
  const schema = {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  };
  const written = '{"city": "Köln"}';
  const toolCall = { id: 'c1', type: 'function', function: { name: 'give_answer', arguments: written } };
  const whole = {
    ...chatCompletion,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: null, tool_calls: [toolCall] },
        finish_reason: 'tool_calls',
      },
    ],
  };
  const chunk = (delta: object, finish_reason: string | null = null) =>
    JSON.stringify({
      id: 'c',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [{ index: 0, delta, finish_reason }],
    });
  const part = (args: string) => ({ tool_calls: [{ index: 0, function: { arguments: args } }] });
  const streamed = ssePlan([
    chunk({
      role: 'assistant',
      tool_calls: [
        { index: 0, id: 'c1', type: 'function', function: { name: 'give_answer', arguments: '' } },
      ],
    }),
    ...[...written].map(each => chunk(part(each))),
    chunk({}, 'tool_calls'),
    '[DONE]',
  ]);
  const format = { type: 'json_schema' as const, json_schema: { name: 'place', schema, strict: true } };

  function requireOneTool(): void {
    const body = sent() as {
      tools: { function: { name: string; parameters: object } }[];
      response_format?: object;
    };
    expect(body.response_format).toBeUndefined();
    expect(body.tools.map(tool => tool.function)).toMatchObject([
      { name: 'give_answer', parameters: schema },
    ]);
    expect(sent().tool_choice).toEqual({ type: 'function', function: { name: 'give_answer' } });
  }

  test('OpenAI Chat: its own protocol, and yet written anew', async () => {
    const messages = [{ role: 'user' as const, content: 'Where?' }];
    upstream.use(jsonPlan(whole));
    const answer = await openai().chat.completions.create({ model, messages, response_format: format });
    expect(answer.choices[0]?.message).toMatchObject({ content: written });
    expect(answer.choices[0]?.message.tool_calls).toBeUndefined();
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    requireOneTool();
    upstream.use(streamed);
    const final = await openai()
      .chat.completions.stream({ model, messages, response_format: format })
      .finalChatCompletion();
    expect(final.choices[0]).toMatchObject({ message: { content: written }, finish_reason: 'stop' });
    requireOneTool();
  });

  test('Anthropic Messages', async () => {
    const asked = {
      ...{ model, max_tokens: 100 },
      messages: [{ role: 'user' as const, content: 'Where?' }],
      output_config: { format: { type: 'json_schema' as const, schema } },
    };
    upstream.use(jsonPlan(whole));
    const answer = await anthropic().messages.create(asked);
    expect(answer).toMatchObject({ content: [{ type: 'text', text: written }], stop_reason: 'end_turn' });
    requireOneTool();
    upstream.use(streamed);
    expect(await anthropic().messages.stream(asked).finalText()).toBe(written);
    requireOneTool();
  });
});

describe('[AI-2] Claude by others who host it: the bytes of an Anthropic client pass', () => {
  const body =
    '{"max_tokens":9, "model":"HOST","messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe"}] , "vendor_field":[1.0] }';
  const asked = (host: string, more = '') => body.replace('"model":"HOST"', `"model":"${host}"${more}`);

  test.each([
    ['vertex', 'vertex-2023-10-16'],
    ['invoke', 'bedrock-2023-05-31'],
  ])('%s: whole', async (host, version) => {
    const answered = Buffer.from(`${JSON.stringify(message).slice(0, -1)} , "unknown": 1.50 }`);
    upstream.use([
      { op: 'headers', headers: { 'content-type': 'application/json' } },
      { op: 'write', bytes: answered },
    ]);
    const answer = await post(gateway, '/v1/messages', asked(host), { 'anthropic-beta': 'b1, b2,b1' });
    expect(answer.body).toEqual(answered);
    // Vertex AI reads the header, as Anthropic's SDK for it sends it; Bedrock reads the body.
    const isInBody = host === 'invoke';
    const betas = isInBody ? '"anthropic_beta":["b1","b2"],' : '';
    expect(sentBytes()).toBe(
      `{"anthropic_version":"${version}",${betas}${body.slice(1).replace(' "model":"HOST",', ' ')}`,
    );
    expect(upstream.requests.at(-1)?.headers['anthropic-beta']).toBe(isInBody ? undefined : 'b1, b2,b1');
  });

  test('InvokeModel: betas of the header join those that the body has', async () => {
    upstream.use(jsonPlan(message));
    const own = asked('invoke', ', "anthropic_beta": ["b0", "b1"]');
    await post(gateway, '/v1/messages', own, { 'anthropic-beta': 'b1,b2' });
    expect(sent().anthropic_beta).toEqual(['b0', 'b1', 'b2']);
    await post(gateway, '/v1/messages', own, { 'anthropic-beta': 'b1' });
    expect(sentBytes()).toContain('"anthropic_beta": ["b0", "b1"]');
  });

  test('vertex: as a stream, byte for byte', async () => {
    upstream.use(slicedStreamPlan(messageStream, 5));
    const answer = await post(gateway, '/v1/messages', asked('vertex', ', "stream": true'));
    expect(upstream.requests.at(-1)?.path).toContain(':streamRawPredict');
    expect(sent().stream).toBe(true);
    expect(answer.body.toString()).toBe(messageStream);
    expect(answer.isComplete).toBe(true);
  });

  test('InvokeModel: the native events, out of their binary messages, whatever the cuts', async () => {
    const events = [
      { type: 'message_start', message: { ...message, content: [] } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Grüße' } },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { output_tokens: 5 },
      },
      { type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 1 } },
    ];
    const frames = events.map(event =>
      formatAwsEvent({
        messageType: 'event',
        type: 'chunk',
        payload: { bytes: Buffer.from(JSON.stringify(event)).toString('base64') },
      }),
    );
    upstream.use([
      { op: 'headers', headers: { 'content-type': 'application/vnd.amazon.eventstream' } },
      { op: 'drip', bytes: Buffer.concat(frames), sliceBytes: 7 },
    ]);
    const answer = await post(gateway, '/v1/messages', asked('invoke', ', "stream": true'));
    expect(sent().stream).toBeUndefined();
    expect(answer.body.toString()).toBe(
      events.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
    );
  });

  test('a refusal of the host is told in the protocol of the client', async () => {
    upstream.use(jsonPlan({ message: 'Malformed input' }, { status: 400 }));
    const answer = await post(gateway, '/v1/messages', messagesRequest({ model: 'invoke' }));
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', message: expect.stringContaining('Malformed input') },
    });
  });
});

describe('counting by hosts', () => {
  const prompt = { messages: [{ role: 'user' as const, content: 'Hi.' }] };

  test('Claude on Vertex', async () => {
    upstream.use(jsonPlan({ input_tokens: 17 }));
    expect(await anthropic().messages.countTokens({ model: 'vertex', ...prompt })).toMatchObject({
      input_tokens: 17,
    });
    expect(upstream.requests.at(-1)?.path).toMatch(/publishers\/anthropic\/models\/count-tokens:rawPredict$/);
    expect(sent()).toMatchObject({ model: 'claude-m', anthropic_version: 'vertex-2023-10-16' });
  });

  test('Gemini on Vertex: bare, as it takes no request inside the request', async () => {
    upstream.use(jsonPlan({ totalTokens: 18 }));
    expect(await anthropic().messages.countTokens({ model: 'gemini', ...prompt })).toMatchObject({
      input_tokens: 18,
    });
    expect(upstream.requests.at(-1)?.path).toMatch(/publishers\/google\/models\/claude-m:countTokens$/);
    expect(sent()).toMatchObject({ contents: [{ parts: [{ text: 'Hi.' }] }] });
  });

  test('Bedrock, asked by its own SDK and by Anthropic’s', async () => {
    upstream.use(jsonPlan({ inputTokens: 19 }));
    expect(await anthropic().messages.countTokens({ model: 'converse', ...prompt })).toMatchObject({
      input_tokens: 19,
    });
    expect(upstream.requests.at(-1)?.path).toBe('/model/claude-m/count-tokens');
    const sdk = bedrockClient(gateway);
    const converse = { messages: [{ role: 'user' as const, content: [{ text: 'Hi.' }] }] };
    const counted = await sdk.send(new CountTokensCommand({ modelId: 'converse', input: { converse } }));
    expect(counted.inputTokens).toBe(19);
    expect(sent()).toEqual({ input: { converse } });
    sdk.destroy();
  });
});

test('a request without any of it is not touched', async () => {
  await post(gateway, '/v1/chat/completions', chatRequest({ model: 'deepseek' }));
  expect(sentBytes()).toBe(JSON.stringify(chatRequest({ model: 'claude-m' })));
});
