import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import {
  type BedrockRuntimeClient,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { GoogleGenAI } from '@google/genai';
import { BedrockEmbeddings } from '@langchain/aws';
import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { embedMany } from 'ai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { post, type RunningGateway, startGateway } from './harness.ts';
import { bedrockClient } from './support/bedrock-client.ts';

/** Embeddings in the own words of Gemini, Vertex AI and Bedrock, by their SDKs. */

let upstream: FakeUpstream;
let gateway: RunningGateway;
let aws: BedrockRuntimeClient;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const own = { base_url: upstream.url, allow_private: true, api_key: 'sk-provider' };
  const service_tiers = { flex: { multiplier: '0.5' }, priority: { multiplier: '2' } };
  const target = (provider: string, model: string) => ({
    targets: [{ provider, model, prices: { input: '1', output: '2', service_tiers } }],
  });
  gateway = await startGateway({
    section: {
      providers: {
        gemini: { ...own, type: 'gemini', base_url: `${upstream.url}/v1beta` },
        vertex: { ...own, type: 'vertex', project: 'p1', location: 'global' },
        bedrock: { ...own, type: 'bedrock', region: 'us-east-1' },
        openai: { ...own, type: 'openai' },
      },
      models: {
        'my-embedding': target('gemini', 'gemini-embedding-001'),
        'text-embedding': target('vertex', 'text-embedding-005'),
        titan: target('bedrock', 'amazon.titan-embed-text-v2:0'),
        other: target('openai', 'text-embedding-3-small'),
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
});
beforeEach(() => {
  gateway.records.length = 0;
});

const sent = () => ({
  path: upstream.requests.at(-1)?.path,
  body: JSON.parse(upstream.requests.at(-1)?.body().toString() ?? '') as unknown,
});
const genai = (more: object = {}) =>
  new GoogleGenAI({ apiKey: gateway.key, httpOptions: { baseUrl: gateway.url }, ...more });

const values = [0.25, -0.5];
const batch = { embeddings: [{ values }, { values }], usageMetadata: { promptTokenCount: 7 } };

describe("in Gemini's words", () => {
  test('embedContent of the SDK: every name of the model is the provider’s, and the tokens are priced', async () => {
    upstream.use(jsonPlan(batch));
    const answer = await genai().models.embedContent({
      model: 'my-embedding',
      contents: ['one', 'two'],
      config: { taskType: 'RETRIEVAL_QUERY', outputDimensionality: 2 },
    });
    expect(answer.embeddings?.map(each => each.values)).toEqual([values, values]);
    const one = {
      taskType: 'RETRIEVAL_QUERY',
      outputDimensionality: 2,
      model: 'models/gemini-embedding-001',
    };
    expect(sent()).toEqual({
      path: '/v1beta/models/gemini-embedding-001:batchEmbedContents',
      body: {
        requests: [
          { content: { parts: [{ text: 'one' }], role: 'user' }, ...one },
          { content: { parts: [{ text: 'two' }], role: 'user' }, ...one },
        ],
      },
    });
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ operation: 'embeddings', usageSource: 'reported', costNanoUsd: 7000n });
  });

  test('[AI-2] every other byte stays', async () => {
    upstream.use(jsonPlan({ embedding: { values } }));
    const body = `{ "model":"models/my-embedding" ,"content":{"parts":[{"text":"Gr\\u00fc\\u00dfe","model":"mine"}]}, "x":1e2 }`;
    const answer = await post(gateway, '/v1beta/models/my-embedding:embedContent', body);
    expect(answer.status).toBe(200);
    expect(upstream.requests.at(-1)?.body().toString()).toBe(
      body.replace('models/my-embedding', 'models/gemini-embedding-001'),
    );
  });

  test('embedMany of the Vercel AI SDK', async () => {
    upstream.use(jsonPlan(batch));
    const google = createGoogleGenerativeAI({ baseURL: `${gateway.url}/v1beta`, apiKey: gateway.key });
    const { embeddings } = await embedMany({
      model: google.embedding('my-embedding'),
      values: ['one', 'two'],
    });
    expect(embeddings).toEqual([values, values]);
  });

  test('embedContent of the SDK for Vertex AI, which predicts', async () => {
    const statistics = { token_count: 3, truncated: false };
    upstream.use(jsonPlan({ predictions: [{ embeddings: { values, statistics } }] }));
    const answer = await genai({ vertexai: true }).models.embedContent({
      model: 'text-embedding',
      contents: 'one',
    });
    expect(answer.embeddings?.[0]).toMatchObject({ values, statistics: { tokenCount: 3 } });
    expect(sent()).toMatchObject({
      path: '/v1/projects/p1/locations/global/publishers/google/models/text-embedding-005:predict',
      body: { instances: [{ content: 'one' }] },
    });
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ usageSource: 'reported', costNanoUsd: 3000n });
  });

  test('a model whose provider has no such method is refused in the words of the SDK', async () => {
    const failing = genai().models.embedContent({ model: 'other', contents: 'one' });
    await expect(failing).rejects.toMatchObject({ name: 'ApiError', status: 400, message: /other/ });
    const unknown = genai().models.embedContent({ model: 'nobody', contents: 'one' });
    await expect(unknown).rejects.toMatchObject({ name: 'ApiError', status: 404 });
  });

  test.each([
    ['requests that are none', '{"requests":"x"}'],
    ['requests with no objects', '{"requests":[1,null,"x",[{"model":"a"}]]}'],
    ['no members', '{}'],
  ])('%s pass as they are: the provider judges', async (_name, body) => {
    upstream.use(jsonPlan({ error: { code: 400, status: 'INVALID_ARGUMENT' } }, { status: 400 }));
    const answer = await post(gateway, '/v1beta/models/my-embedding:batchEmbedContents', body);
    expect(answer.status).toBe(400);
    expect(upstream.requests.at(-1)?.body().toString()).toBe(body);
  });
});

test('[$-1] [$-2] a model with a price of its input alone is paid out of a hard budget', async () => {
  const own = await startGateway({
    shared: {
      budgets: [
        { name: 'all', tenant: 'acme', window: 'total', subject: 'principal:user:ada', limit_usd: '0.01' },
      ],
    },
    section: {
      providers: {
        openai: {
          type: 'openai',
          base_url: `${upstream.url}/v1`,
          api_key: 'sk-provider',
          allow_private: true,
        },
      },
      models: {
        embed: {
          targets: [{ provider: 'openai', model: 'text-embedding-3-small', prices: { input: '0.02' } }],
        },
      },
    },
  });
  try {
    const usage = { prompt_tokens: 100, total_tokens: 100 };
    upstream.use(
      jsonPlan({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: values }], usage }),
    );
    const answer = await post(own, '/v1/embeddings', { model: 'embed', input: 'one' });
    expect(answer.status, answer.body.toString()).toBe(200);
    expect(answer.headers['x-strata-cost-nano-usd']).toBe('2000');
    const text = await post(own, '/v1/chat/completions', {
      model: 'embed',
      messages: [{ role: 'user', content: 'Hi' }],
    });
    expect(text.status).toBeGreaterThanOrEqual(400);
  } finally {
    await own.close();
  }
});

test.each([
  ['/v1/embeddings', { input: 'one' }],
  ['/v1/moderations', { input: 'one' }],
  ['/v1/rerank', { query: 'one', documents: ['two'] }],
  ['/v2/embed', { texts: ['one'] }],
  ['/v1beta/models/embed:embedContent', { content: { parts: [{ text: 'one' }] } }],
])('[$-1] %s whose answer tells no usage is charged no output, however dear that is', async (path, body) => {
  const at = { base_url: upstream.url, api_key: 'sk-provider', allow_private: true };
  const provider = path.startsWith('/v1beta')
    ? { ...at, type: 'gemini' }
    : path.startsWith('/v2')
      ? { ...at, type: 'cohere' }
      : { ...at, type: 'openai-compatible', base_url: `${upstream.url}/v1` };
  const prices = { input: '1', output: '1000' };
  const own = await startGateway({
    keepsRecords: false,
    shared: {
      budgets: [{ name: 'all', tenant: 'acme', window: 'total', subject: 'model:embed', limit_usd: '0.01' }],
    },
    section: {
      providers: { only: provider },
      models: { embed: { targets: [{ provider: 'only', model: 'm', prices }] } },
    },
  });
  try {
    upstream.use(jsonPlan({ data: values, results: [], text: 'long'.repeat(1000) }));
    const answer = await post(own, path, { model: 'embed', ...body });
    expect(answer.status, answer.body.toString()).toBe(200);
    await own.deps.ledger.flush();
    const [entry] = await own.deps.sql.db.selectFrom('usage_ledger').selectAll().execute();
    expect([entry?.usage_source, Number(entry?.output)]).toEqual(['estimated', 0]);
    const { spentNanoUsd = 0n } = (await own.deps.budgets.store.totals('config:all')) ?? {};
    expect(spentNanoUsd).toBe(BigInt(entry?.cost_nano_usd ?? 0));
    expect(spentNanoUsd).toBeGreaterThan(1_000_000n);
    expect(spentNanoUsd).toBeLessThan(1_100_000n);
  } finally {
    await own.close();
  }
});

describe('by InvokeModel', () => {
  const counted = { 'x-amzn-bedrock-input-token-count': '5', 'x-amzn-requestid': 'r-1' };

  test('the bytes of the AWS SDK pass, Bedrock’s own count is priced and told', async () => {
    upstream.use(jsonPlan({ embedding: values, inputTextTokenCount: 4 }, { headers: counted }));
    const answer = await aws.send(
      new InvokeModelCommand({ modelId: 'titan', body: '{ "inputText":"one" ,"dimensions":2}' }),
    );
    expect(JSON.parse(Buffer.from(answer.body).toString())).toMatchObject({ embedding: values });
    expect(sent().path).toBe('/model/amazon.titan-embed-text-v2%3A0/invoke');
    expect(upstream.requests.at(-1)?.body().toString()).toBe('{ "inputText":"one" ,"dimensions":2}');
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({
      operation: 'invoke_model',
      usageSource: 'reported',
      costNanoUsd: 5000n,
    });
    const plain = await post(gateway, '/model/titan/invoke', { inputText: 'one' });
    expect(plain.headers).toMatchObject({
      'x-amzn-bedrock-input-token-count': '5',
      'x-strata-input-tokens': '5',
    });
  });

  test('[$-1] no header and no member gives another tier of service, nor its price; what Bedrock says counts', async () => {
    upstream.use(jsonPlan({ embedding: values }, { headers: counted }));
    const headers = {
      'x-amzn-bedrock-service-tier': 'priority',
      'x-amzn-bedrock-performanceconfig-latency': 'optimized',
    };
    const body = { inputText: 'one', service_tier: 'flex' };
    expect((await post(gateway, '/model/titan/invoke', body, headers)).status).toBe(200);
    for (const name of Object.keys(headers))
      expect(upstream.requests.at(-1)?.headers).not.toHaveProperty(name);
    const given = { ...counted, 'x-amzn-bedrock-service-tier': 'priority' };
    upstream.use(jsonPlan({ embedding: values }, { headers: given }));
    await post(gateway, '/model/titan/invoke', body);
    const last = { 'amazon-bedrock-invocationMetrics': { inputTokenCount: 2, outputTokenCount: 3 } };
    upstream.use(stream(chunk(last)));
    await post(gateway, '/model/titan/invoke-with-response-stream', body);
    const told = (await gateway.recorded(3)).map(record => [record.serviceTier, record.costNanoUsd]);
    expect(told).toEqual([
      ['default', 5000n],
      ['priority', 10_000n],
      ['default', 8000n],
    ]);
  });

  test('where Bedrock does not count, the body of the model tells', async () => {
    upstream.use(jsonPlan({ embedding: values, inputTextTokenCount: 4 }));
    await post(gateway, '/model/titan/invoke', { inputText: 'one' });
    const [record] = await gateway.recorded(1);
    expect(record?.costNanoUsd).toBe(4000n);
  });

  test('LangChain and the Vercel AI SDK', async () => {
    upstream.use(jsonPlan({ embedding: values, inputTextTokenCount: 4 }, { headers: counted }));
    const langchain = new BedrockEmbeddings({ model: 'titan', region: 'us-east-1', client: aws });
    expect(await langchain.embedQuery('one')).toEqual(values);
    const bedrock = createAmazonBedrock({
      region: 'us-east-1',
      baseURL: gateway.url,
      apiKey: gateway.key,
    });
    const { embeddings, usage } = await embedMany({
      model: bedrock.embedding('titan'),
      values: ['one', 'two'],
    });
    expect(embeddings).toEqual([values, values]);
    expect(usage.tokens).toBe(8);
  });

  const chunk = (value: object) =>
    formatAwsEvent({
      messageType: 'event',
      type: 'chunk',
      payload: { bytes: Buffer.from(JSON.stringify(value)).toString('base64') },
    });
  const stream = (...frames: readonly Buffer[]) => [
    {
      op: 'headers' as const,
      headers: {
        'content-type': 'application/vnd.amazon.eventstream',
        'x-amzn-bedrock-content-type': 'application/json',
      },
    },
    { op: 'write' as const, bytes: Buffer.concat(frames) },
  ];
  const streamed = async () => {
    const answer = await aws.send(
      new InvokeModelWithResponseStreamCommand({ modelId: 'titan', body: '{"inputText":"one"}' }),
    );
    const chunks: unknown[] = [];
    for await (const each of answer.body ?? [])
      chunks.push(JSON.parse(Buffer.from(each.chunk?.bytes ?? []).toString()));
    return chunks;
  };

  test('a stream in the words of any model passes, and is priced by what Bedrock adds', async () => {
    const metrics = { inputTokenCount: 2, outputTokenCount: 3, invocationLatency: 1, firstByteLatency: 1 };
    const last = { completionReason: 'FINISH', 'amazon-bedrock-invocationMetrics': metrics };
    upstream.use(stream(chunk({ outputText: 'Hello' }), chunk(last)));
    expect(await streamed()).toEqual([{ outputText: 'Hello' }, last]);
    const [record] = await gateway.recorded(1);
    expect(record).toMatchObject({ outcome: 'answered', usageSource: 'reported', costNanoUsd: 8000n });
  });

  test('an exception inside a stream comes as the exception it is', async () => {
    const exception = formatAwsEvent({
      messageType: 'exception',
      type: 'throttlingException',
      payload: { message: 'Too many tokens' },
    });
    upstream.use(stream(chunk({ outputText: 'Hello' }), exception));
    await expect(streamed()).rejects.toMatchObject({ name: 'ThrottlingException' });
    expect((await gateway.recorded(1))[0]).toMatchObject({ outcome: 'cut' });
  });

  test('a refusal is the exception of the SDK that it was', async () => {
    upstream.use(
      jsonPlan(
        { message: 'Malformed input request' },
        { status: 400, headers: { 'x-amzn-errortype': 'ValidationException:http://internal/' } },
      ),
    );
    const failing = aws.send(new InvokeModelCommand({ modelId: 'titan', body: '{}' }));
    await expect(failing).rejects.toMatchObject({
      name: 'ValidationException',
      message: 'Malformed input request',
    });
  });
});
