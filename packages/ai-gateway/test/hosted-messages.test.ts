import { request } from 'node:http';
import { AnthropicBedrock } from '@anthropic-ai/bedrock-sdk';
import { AnthropicVertex } from '@anthropic-ai/vertex-sdk';
import {
  type BedrockRuntimeClient,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { eventStreamHead } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { OAuth2Client } from 'google-auth-library';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';
import { messageEvents } from './recordings.ts';
import { bedrockClient } from './support/bedrock-client.ts';

/** Claude as the clients of other clouds ask for it, InvokeModel and rawPredict: answered by any provider. */

let simulator: Simulator;
let upstream: FakeUpstream;
let gateway: RunningGateway;
let aws: BedrockRuntimeClient;

const prices = { input: '1', output: '2', cache_read: '0.1', cache_write: '1' };

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  upstream = await startFakeUpstream({ plan: [] });
  const own = { api_key: 'sk-provider', allow_private: true };
  const bedrock = { ...own, type: 'bedrock', region: 'us-east-1', base_url: `${simulator.url}/bedrock` };
  const target = (provider: string, model: string) => ({ targets: [{ provider, model, prices }] });
  gateway = await startGateway({
    section: {
      providers: {
        anthropic: { ...own, type: 'anthropic', base_url: `${simulator.url}/anthropic` },
        invoke: { ...bedrock, api: 'invoke' },
        converse: bedrock,
        openai: { ...own, type: 'openai', base_url: `${simulator.url}/openai/v1` },
        gemini: { ...own, type: 'gemini', base_url: `${simulator.url}/gemini/v1beta` },
        cohere: { ...own, type: 'cohere', base_url: `${simulator.url}/cohere` },
        slow: { ...own, type: 'anthropic', base_url: upstream.url },
      },
      models: {
        anthropic: target('anthropic', 'claude-sonnet-5'),
        invoke: target('invoke', 'anthropic.claude-sonnet-5'),
        converse: target('converse', 'anthropic.claude-sonnet-5'),
        openai: target('openai', 'gpt-5-mini'),
        gemini: target('gemini', 'gemini-2.5-flash'),
        cohere: target('cohere', 'command-a-reasoning-08-2025'),
        slow: target('slow', 'claude-sonnet-5'),
      },
      attempts: { max_rounds: 1 },
    },
  });
  aws = bedrockClient(gateway);
});
afterAll(async () => {
  aws.destroy();
  await gateway.close();
  await upstream.close();
  await simulator.close();
});

const bedrockSdk = () =>
  new AnthropicBedrock({
    baseURL: gateway.url,
    apiKey: gateway.key,
    awsRegion: 'us-east-1',
    maxRetries: 0,
  });

type VertexOptions = NonNullable<ConstructorParameters<typeof AnthropicVertex>[0]>;
type VertexAuth = NonNullable<VertexOptions['authClient']>;

function vertexSdk() {
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: gateway.key, expiry_date: Date.now() + 3_600_000 });
  return new AnthropicVertex({
    baseURL: `${gateway.url}/v1`,
    projectId: 'my-project',
    region: 'global',
    authClient: authClient as unknown as VertexAuth, // of the same library in the version of the SDK
    maxRetries: 0,
  });
}

const tools = [
  {
    name: 'get_weather',
    input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
  },
];
const prompt = {
  max_tokens: 200,
  tools,
  messages: [
    {
      role: 'user' as const,
      content: '[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]',
    },
  ],
};
const upstreams = ['anthropic', 'invoke', 'converse', 'openai', 'gemini', 'cohere'];
const sdks = { '@anthropic-ai/bedrock-sdk': bedrockSdk, '@anthropic-ai/vertex-sdk': vertexSdk };
const cases = Object.entries(sdks).flatMap(([name, sdk]) =>
  upstreams.map(upstream => [name, upstream, sdk] as const),
);

const toolInputs = (content: readonly { type: string }[]) =>
  content.flatMap(block => ('input' in block ? [block.input] : []));

describe.each(cases)('%s with an upstream of %s', (_name, model, sdk) => {
  test('a whole answer with tools, and the same streamed', async () => {
    gateway.records.length = 0;
    const whole = await sdk().messages.create({ model, ...prompt });
    expect(whole).toMatchObject({ type: 'message', role: 'assistant', stop_reason: 'tool_use' });
    expect(toolInputs(whole.content)).toEqual([{ city: 'Rome' }, { city: 'Oslo' }]);
    const streamed = await sdk()
      .messages.stream({ model, ...prompt })
      .finalMessage();
    expect(streamed.stop_reason).toBe('tool_use');
    expect(toolInputs(streamed.content)).toEqual(toolInputs(whole.content));
    expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
    const records = await gateway.recorded(2);
    for (const record of records) {
      expect(record).toMatchObject({ alias: model, outcome: 'answered', usageSource: 'reported' });
      expect(record.costNanoUsd).toBeGreaterThan(0n);
    }
  });

  test('an error is one of the SDK, with its status', async () => {
    const failing = sdk().messages.create({
      model: 'unknown-model',
      max_tokens: 5,
      messages: [{ role: 'user', content: 'Hi' }],
    });
    await expect(failing).rejects.toMatchObject({ status: 404, message: /unknown-model/ });
    const broken = sdk().messages.stream({
      model,
      max_tokens: 200,
      messages: [{ role: 'user', content: '[[words: 40]] [[fault: error-event-after=20]]' }],
    });
    await expect(broken.finalMessage()).rejects.toThrow();
  });
});

describe('InvokeModel of the AWS SDK', () => {
  const body = (text: string) =>
    JSON.stringify({
      anthropic_version: 'bedrock-2023-05-31',
      anthropic_beta: ['context-1m-2025-08-07'],
      max_tokens: 100,
      messages: [{ role: 'user', content: text }],
    });

  test.each(upstreams)('a body for Claude, whole and streamed, by %s', async modelId => {
    const whole = await aws.send(new InvokeModelCommand({ modelId, body: body('Good morning') }));
    expect(whole.contentType).toBe('application/json');
    const message = JSON.parse(Buffer.from(whole.body).toString());
    expect(message).toMatchObject({ type: 'message', content: [{ text: 'You said: Good morning' }] });
    const stream = await aws.send(
      new InvokeModelWithResponseStreamCommand({ modelId, body: body('Good morning') }),
    );
    expect(stream.contentType).toBe('application/json');
    const events: Record<string, unknown>[] = [];
    for await (const { chunk } of stream.body ?? [])
      events.push(JSON.parse(Buffer.from(chunk?.bytes ?? []).toString()));
    expect(events.at(0)?.type).toBe('message_start');
    expect(events.at(-1)).toMatchObject({
      type: 'message_stop',
      'amazon-bedrock-invocationMetrics': { outputTokenCount: message.usage.output_tokens },
    });
  });

  test('[AI-2] the bytes come to Anthropic as they were but for what the path and the host say', async () => {
    const text =
      '{"anthropic_version":"bedrock-2023-05-31", "max_tokens":10 ,"messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe 1e2"}],"anthropic_beta":["context-1m-2025-08-07"]}';
    await aws.send(new InvokeModelCommand({ modelId: 'anthropic', body: text }));
    const sent = simulator.requests.at(-1);
    expect(sent?.body.toString()).toBe(
      '{"model":"claude-sonnet-5","max_tokens":10 ,"messages":[{"role":"user","content":"Gr\\u00fc\\u00dfe 1e2"}]}',
    );
    expect(sent?.headers['anthropic-beta']).toBe('context-1m-2025-08-07');
    await aws.send(new InvokeModelCommand({ modelId: 'invoke', body: text }));
    expect(JSON.parse(simulator.requests.at(-1)?.body.toString() ?? '')).toMatchObject({
      anthropic_version: 'bedrock-2023-05-31',
      anthropic_beta: ['context-1m-2025-08-07'],
    });
  });

  test.each([
    ['a refusal of the upstream', 'anthropic', body('[[fault: status=400]]'), 'ValidationException'],
    ['too many requests', 'anthropic', body('[[fault: status=429]]'), 'ThrottlingException'],
    ['no such model', 'nobody', body('Hi'), 'ResourceNotFoundException'],
    ['no JSON', 'anthropic', 'no JSON', 'ValidationException'],
    ['a body for no Claude at a provider of Claude', 'anthropic', '{"inputText":"a"}', undefined],
  ])('%s is an exception of the SDK', async (_name, modelId, text, name) => {
    const failing = aws.send(new InvokeModelCommand({ modelId, body: text }));
    const error = await failing.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    if (name !== undefined) expect(error).toMatchObject({ name });
    expect((error as Error).message).not.toBe('UnknownError');
  });

  test('an error inside a stream is an exception of the SDK', async () => {
    const text = body('[[words: 40]] [[fault: error-event-after=20]]');
    const stream = await aws.send(
      new InvokeModelWithResponseStreamCommand({ modelId: 'anthropic', body: text }),
    );
    const read = async () => {
      for await (const { chunk } of stream.body ?? []) expect(chunk?.bytes?.length).toBeGreaterThan(0);
    };
    await expect(read()).rejects.toMatchObject({ name: 'ServiceUnavailableException' });
  });
});

test.each(upstreams)('tokens of a body for Claude are counted by the AWS SDK, by %s', async modelId => {
  const body = Buffer.from(
    JSON.stringify({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 10,
      messages: [{ role: 'user', content: 'Good morning' }],
    }),
  );
  const counted = await aws.send(new CountTokensCommand({ modelId, input: { invokeModel: { body } } }));
  expect(counted.inputTokens).toBeGreaterThan(0);
  const other = { modelId, input: { invokeModel: { body: Buffer.from('{"inputText":"a"}') } } };
  await expect(aws.send(new CountTokensCommand(other))).rejects.toMatchObject({
    name: 'ValidationException',
  });
});

test('tokens are counted by the SDK of Vertex AI', async () => {
  const counted = await vertexSdk().messages.countTokens({
    model: 'anthropic',
    messages: [{ role: 'user', content: 'Good morning' }],
  });
  expect(counted.input_tokens).toBeGreaterThan(0);
});

describe('[AI-4] a client that leaves stops the upstream', () => {
  test.each([
    ['invoke', '/model/slow/invoke-with-response-stream'],
    ['rawPredict', '/v1/projects/p/locations/l/publishers/anthropic/models/slow:streamRawPredict'],
  ])('of %s', async (_name, path) => {
    const begun = messageEvents.slice(0, -2).join('');
    upstream.use([eventStreamHead, { op: 'write', bytes: begun }, { op: 'stall' }]);
    const before = upstream.requests.length;
    gateway.records.length = 0;
    const body = JSON.stringify({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 100,
      messages: [{ role: 'user', content: 'Hi' }],
    });
    const left = request(`${gateway.url}${path}`, {
      method: 'POST',
      agent: false,
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    });
    left.on('response', response => response.once('data', () => left.destroy()));
    left.on('error', () => {}); // it has left
    left.end(body);
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ outcome: 'cancelled', alias: 'slow' });
    await upstream.closed(before + 1);
  });
});

test('a method that no model has is unknown', async () => {
  const models = '/v1/projects/p/locations/global/publishers/anthropic/models';
  for (const path of ['/model/anthropic/invoke-async', `${models}/anthropic:predict`, `${models}/anthropic`])
    expect((await post(gateway, path, {})).status, path).toBe(404);
});
