import Anthropic from '@anthropic-ai/sdk';
import {
  type BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
} from '@aws-sdk/client-bedrock-runtime';
import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import { jsonPlan, ssePlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';
import { bedrockClient } from './support/bedrock-client.ts';

/** Places in documents that an answer cites, between the two protocols that have them, whole and streamed. */

let upstream: FakeUpstream;
let gateway: RunningGateway;
let anthropic: Anthropic;
let bedrock: BedrockRuntimeClient;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  const at = { api_key: 'sk-provider', allow_private: true, base_url: upstream.url };
  gateway = await startGateway({
    section: {
      providers: {
        claude: { ...at, type: 'anthropic' },
        bedrock: { ...at, type: 'bedrock', region: 'us-east-1' },
      },
      models: {
        claude: { targets: [{ provider: 'claude', model: 'm' }] },
        bedrock: { targets: [{ provider: 'bedrock', model: 'm' }] },
      },
      attempts: { max_rounds: 1 },
    },
  });
  anthropic = new Anthropic({ baseURL: gateway.url, apiKey: gateway.key, maxRetries: 0 });
  bedrock = bedrockClient(gateway);
});
afterAll(async () => {
  bedrock.destroy();
  await gateway.close();
  await upstream.close();
});

const inMessages = [
  {
    type: 'char_location',
    cited_text: 'a',
    document_index: 0,
    document_title: 'T',
    start_char_index: 1,
    end_char_index: 2,
  },
  {
    type: 'page_location',
    cited_text: 'b',
    document_index: 1,
    document_title: null,
    start_page_number: 3,
    end_page_number: 4,
  },
  {
    type: 'content_block_location',
    cited_text: 'c',
    document_index: 2,
    document_title: 'U',
    start_block_index: 5,
    end_block_index: 6,
  },
];
const inConverse = [
  {
    title: 'T',
    sourceContent: [{ text: 'a' }],
    location: { documentChar: { documentIndex: 0, start: 1, end: 2 } },
  },
  { sourceContent: [{ text: 'b' }], location: { documentPage: { documentIndex: 1, start: 3, end: 4 } } },
  {
    title: 'U',
    sourceContent: [{ text: 'c' }],
    location: { documentChunk: { documentIndex: 2, start: 5, end: 6 } },
  },
];

describe('from Messages to Converse', () => {
  const asked = {
    modelId: 'claude',
    messages: [
      {
        role: 'user' as const,
        content: [
          {
            document: {
              format: 'txt' as const,
              name: 'T',
              source: { text: 'xay' },
              citations: { enabled: true },
            },
          },
          { text: 'x' },
        ],
      },
    ],
  };
  const head = {
    id: 'm',
    type: 'message',
    role: 'assistant',
    model: 'm',
    usage: { input_tokens: 1, output_tokens: 1 },
  };

  test('whole', async () => {
    const content = [{ type: 'text', text: 'Said.', citations: inMessages }];
    upstream.use(jsonPlan({ ...head, content, stop_reason: 'end_turn' }));
    const { output } = await bedrock.send(new ConverseCommand(asked));
    expect(output?.message?.content).toEqual([
      { citationsContent: { content: [{ text: 'Said.' }], citations: inConverse } },
    ]);
  });

  test('streamed', async () => {
    const delta = (each: object) => ({ type: 'content_block_delta', index: 0, delta: each });
    const events = [
      { type: 'message_start', message: { ...head, content: [] } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      delta({ type: 'text_delta', text: 'Said.' }),
      ...inMessages.map(citation => delta({ type: 'citations_delta', citation })),
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
      { type: 'message_stop' },
    ];
    upstream.use(ssePlan(events.map(each => ({ event: each.type, data: JSON.stringify(each) }))));
    const seen = [];
    for await (const { contentBlockDelta } of (await bedrock.send(new ConverseStreamCommand(asked))).stream ??
      [])
      if (contentBlockDelta?.delta?.citation) seen.push(contentBlockDelta.delta.citation);
    expect(seen).toEqual(inConverse);
  });
});

describe('from Converse to Messages', () => {
  const asked = { model: 'bedrock', max_tokens: 10, messages: [{ role: 'user' as const, content: 'x' }] };
  const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };

  test('whole', async () => {
    const content = [{ citationsContent: { content: [{ text: 'Said.' }], citations: inConverse } }];
    upstream.use(
      jsonPlan({ output: { message: { role: 'assistant', content } }, stopReason: 'end_turn', usage }),
    );
    expect((await anthropic.messages.create(asked)).content).toMatchObject([
      { type: 'text', text: 'Said.', citations: inMessages },
    ]);
  });

  test('streamed', async () => {
    const event = (type: string, payload: object) => formatAwsEvent({ messageType: 'event', type, payload });
    const delta = (each: object) => event('contentBlockDelta', { contentBlockIndex: 0, delta: each });
    upstream.use([
      { op: 'headers', headers: { 'content-type': 'application/vnd.amazon.eventstream' } },
      {
        op: 'write',
        bytes: Buffer.concat([
          event('messageStart', { role: 'assistant' }),
          delta({ text: 'Said.' }),
          ...inConverse.map(citation => delta({ citation })),
          event('contentBlockStop', { contentBlockIndex: 0 }),
          event('messageStop', { stopReason: 'end_turn' }),
          event('metadata', { usage, metrics: { latencyMs: 1 } }),
        ]),
      },
    ]);
    expect((await anthropic.messages.stream(asked).finalMessage()).content).toMatchObject([
      { type: 'text', text: 'Said.', citations: inMessages },
    ]);
  });
});
