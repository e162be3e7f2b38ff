import Anthropic from '@anthropic-ai/sdk';
import { ConverseCommand, ConverseStreamCommand } from '@aws-sdk/client-bedrock-runtime';
import { GoogleGenAI } from '@google/genai';
import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';
import { bedrockClient } from './support/bedrock-client.ts';

/** Pictures that a model makes beside its text, from each protocol that has them to each SDK, whole and streamed. */

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const at = { api_key: 'sk-provider', allow_private: true, base_url: upstream.url };
  const providers = {
    gemini: { ...at, type: 'gemini' },
    bedrock: { ...at, type: 'bedrock', region: 'us-east-1' },
    chat: { ...at, type: 'openai-compatible' },
  };
  const models = Object.fromEntries(
    Object.keys(providers).map(name => [name, { targets: [{ provider: name, model: 'm' }] }]),
  );
  gateway = await startGateway({ section: { providers, models, attempts: { max_rounds: 1 } } });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const png = Buffer.from('\x89PNG\r\n', 'latin1').toString('base64');
const url = `data:image/png;base64,${png}`;

const parts = [{ text: 'Here: ' }, { inlineData: { mimeType: 'image/png', data: png } }];
const candidate = (each: object[], finish?: string) => ({
  candidates: [{ content: { role: 'model', parts: each }, ...(finish && { finishReason: finish }) }],
});
const delta = (more: object, finish: string | null = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  model: 'm',
  choices: [{ index: 0, delta: more, finish_reason: finish }],
});
const images = [{ type: 'image_url', image_url: { url } }];
const event = (type: string, payload: object) => formatAwsEvent({ messageType: 'event', type, payload });
const events = (all: readonly object[]): Plan => ssePlan(all.map(each => ({ data: JSON.stringify(each) })));

/** How each upstream says it. */
const made: Readonly<Record<string, { readonly whole: Plan; readonly streamed: Plan }>> = {
  gemini: {
    whole: jsonPlan(candidate(parts, 'STOP')),
    streamed: events([candidate(parts.slice(0, 1)), candidate(parts.slice(1)), candidate([], 'STOP')]),
  },
  bedrock: {
    whole: jsonPlan({
      output: {
        message: {
          role: 'assistant',
          content: [{ text: 'Here: ' }, { image: { format: 'png', source: { bytes: png } } }],
        },
      },
      stopReason: 'end_turn',
      usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
    }),
    streamed: [
      { op: 'headers', headers: { 'content-type': 'application/vnd.amazon.eventstream' } },
      {
        op: 'write',
        bytes: Buffer.concat([
          event('messageStart', { role: 'assistant' }),
          event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Here: ' } }),
          event('contentBlockStop', { contentBlockIndex: 0 }),
          event('contentBlockStart', { contentBlockIndex: 1, start: { image: { format: 'png' } } }),
          event('contentBlockDelta', { contentBlockIndex: 1, delta: { image: { source: { bytes: png } } } }),
          event('contentBlockStop', { contentBlockIndex: 1 }),
          event('messageStop', { stopReason: 'end_turn' }),
          event('metadata', {
            usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
            metrics: { latencyMs: 1 },
          }),
        ]),
      },
    ],
  },
  chat: {
    whole: jsonPlan({
      id: 'c',
      object: 'chat.completion',
      model: 'm',
      choices: [
        { index: 0, message: { role: 'assistant', content: 'Here: ', images }, finish_reason: 'stop' },
      ],
    }),
    streamed: events([delta({ role: 'assistant', content: 'Here: ' }), delta({ images }), delta({}, 'stop')]),
  },
};

interface Pictured {
  readonly images?: readonly { readonly image_url: { readonly url: string } }[];
}

/** The pictures that an SDK's own objects hold, in base64. */
type Ask = (model: string, isStream: boolean) => Promise<string[]>;

const openai = () => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0 });
const dataOf = ({ images: each = [] }: Pictured) =>
  each.map(({ image_url }) => image_url.url.split(',')[1] ?? '');

const clients: Readonly<Record<string, Ask>> = {
  async 'openai, chat'(model, isStream) {
    const body = { model, messages: [{ role: 'user' as const, content: 'x' }] };
    if (!isStream) {
      const { choices } = await openai().chat.completions.create(body);
      return dataOf(choices[0]?.message as Pictured); // a member that the SDK has no type for
    }
    const found = [];
    for await (const chunk of await openai().chat.completions.create({ ...body, stream: true }))
      found.push(...dataOf((chunk.choices[0]?.delta ?? {}) as Pictured)); // a member that the SDK has no type for
    return found;
  },
  async 'openai, responses'(model, isStream) {
    const body = { model, input: 'x' };
    const { output } = isStream
      ? await openai().responses.stream(body).finalResponse()
      : await openai().responses.create(body);
    return output.flatMap(item => (item.type === 'image_generation_call' ? (item.result ?? []) : []));
  },
  async '@google/genai'(model, isStream) {
    const sdk = new GoogleGenAI({ apiKey: gateway.key, httpOptions: { baseUrl: gateway.url } });
    const asked = { model, contents: 'x' };
    if (!isStream) return dataIn(await sdk.models.generateContent(asked));
    const found = [];
    for await (const chunk of await sdk.models.generateContentStream(asked)) found.push(...dataIn(chunk));
    return found;
  },
  async '@aws-sdk/client-bedrock-runtime'(model, isStream) {
    const sdk = bedrockClient(gateway);
    const asked = { modelId: model, messages: [{ role: 'user' as const, content: [{ text: 'x' }] }] };
    const found = [];
    if (isStream) {
      for await (const { contentBlockDelta } of (await sdk.send(new ConverseStreamCommand(asked))).stream ??
        [])
        if (contentBlockDelta?.delta?.image) found.push(contentBlockDelta.delta.image.source?.bytes);
    } else {
      const { output } = await sdk.send(new ConverseCommand(asked));
      for (const block of output?.message?.content ?? [])
        if (block.image) found.push(block.image.source?.bytes);
    }
    sdk.destroy();
    return found.map(bytes => Buffer.from(bytes ?? []).toString('base64'));
  },
};

function dataIn(answer: Awaited<ReturnType<GoogleGenAI['models']['generateContent']>>): string[] {
  const found = answer.candidates?.[0]?.content?.parts ?? [];
  return found.flatMap(part => part.inlineData?.data ?? []);
}

const pairs = Object.keys(made).flatMap(model =>
  Object.keys(clients).map(client => [model, client] as const),
);

test.each(pairs)('[AI-6] from %s to %s', async (model, client) => {
  for (const isStream of [false, true]) {
    upstream.use(made[model]?.[isStream ? 'streamed' : 'whole'] ?? []);
    expect(await clients[client]?.(model, isStream)).toEqual([png]);
  }
});

test.each(Object.keys(made))(
  '[AI-6] from %s to Anthropic, which has no word for it: that there was one',
  async model => {
    const sdk = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });
    const asked = { model, max_tokens: 10, messages: [{ role: 'user' as const, content: 'x' }] };
    upstream.use(made[model]?.whole ?? []);
    const whole = await sdk.messages.create(asked);
    upstream.use(made[model]?.streamed ?? []);
    const streamed = await sdk.messages.stream(asked).finalMessage();
    for (const { content } of [whole, streamed])
      expect(content).toMatchObject([{ text: 'Here: ' }, { text: expect.stringContaining('image/png') }]);
  },
);

test('[AI-6] the thinking of Mistral, which is a part of the content', async () => {
  const content = [
    { type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] },
    { type: 'text', text: 'Yes.' },
  ];
  const message = { role: 'assistant', content };
  upstream.use(jsonPlan({ id: 'c', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] }));
  const sdk = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });
  const answer = await sdk.messages.create({
    model: 'chat',
    max_tokens: 10,
    messages: [{ role: 'user', content: 'x' }],
  });
  expect(answer.content).toMatchObject([
    { type: 'thinking', thinking: 'Hm.' },
    { type: 'text', text: 'Yes.' },
  ]);
});
