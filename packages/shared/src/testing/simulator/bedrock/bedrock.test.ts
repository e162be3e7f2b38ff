import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  type Tool,
} from '@aws-sdk/client-bedrock-runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '../simulator.ts';

let simulator: Simulator;
let client: BedrockRuntimeClient;

const connect = (options: object) =>
  new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: `${simulator.url}/bedrock`,
    maxAttempts: 1,
    ...options,
  });

beforeAll(async () => {
  simulator = await startSimulator();
  client = connect({ credentials: { accessKeyId: 'AKIDSIMULATOR', secretAccessKey: 'secret' } });
});

afterAll(async () => {
  client.destroy();
  await simulator.close();
});

const modelId = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0';
const getWeather: Tool = {
  toolSpec: {
    name: 'get_weather',
    inputSchema: { json: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
  },
};
const ask = (text: string): ConverseCommandInput => ({
  modelId,
  messages: [{ role: 'user', content: [{ text }] }],
});
const thinking = { additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 1024 } } };
const toolConfig = { tools: [getWeather] };

describe('Converse, with the AWS SDK', () => {
  it('answers with the words of the user', async () => {
    const answer = await client.send(new ConverseCommand(ask('Good morning')));
    expect(answer.output?.message?.content).toEqual([{ text: 'You said: Good morning' }]);
    expect(answer).toMatchObject({
      stopReason: 'end_turn',
      usage: { inputTokens: 6, outputTokens: 6, totalTokens: 12 },
    });
  });

  it('takes a Bedrock API key too', async () => {
    const bearer = connect({ token: { token: 'bedrock-api-key' }, authSchemePreference: ['httpBearerAuth'] });
    await bearer.send(new ConverseCommand(ask('Hi')));
    expect(simulator.requests.at(-1)?.headers.authorization).toBe('Bearer bedrock-api-key');
    bearer.destroy();
  });

  it.each<[string, ConverseCommandInput]>([
    ['a text', ask('[[words: 40]]')],
    ['a call', { ...ask('What is the weather in Paris?'), toolConfig }],
    [
      'words and parallel calls',
      {
        ...ask('[[say: Let me see.]] [[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]'),
        toolConfig,
      },
    ],
    ['reasoning', { ...ask('[[think: I wonder.]] [[say: Well.]]'), ...thinking }],
    ['an answer that is cut', { ...ask('[[words: 40]]'), inferenceConfig: { maxTokens: 5 } }],
    [
      'an answer that a stop sequence ends',
      { ...ask('[[words: 40]]'), inferenceConfig: { stopSequences: ['client'] } },
    ],
    ['a refusal', ask('[[refuse]]')],
  ])('streams %s, and it adds up to the whole answer', async (_name, input) => {
    const whole = await client.send(new ConverseCommand(input));
    const { stream } = await client.send(new ConverseStreamCommand(input));
    const streamed = await accumulate(stream);
    expect(streamed.content).toEqual(withoutIds(whole.output?.message?.content));
    expect(streamed.stopReason).toBe(whole.stopReason);
    expect(streamed.usage).toEqual(whole.usage);
  });

  it('takes a tool loop', async () => {
    const input = { ...ask('What is the weather in Paris?'), ...thinking, toolConfig };
    const first = await client.send(new ConverseCommand(input));
    const content = first.output?.message?.content;
    const toolUse = content?.find(block => block.toolUse)?.toolUse;
    expect(toolUse?.input).toEqual({ city: 'Paris' });
    const result = { toolUseId: toolUse?.toolUseId, content: [{ text: 'Sunny' }] };
    const messages = [
      ...(input.messages ?? []),
      { role: 'assistant' as const, content },
      { role: 'user' as const, content: [{ toolResult: result }] },
    ];
    const second = await client.send(new ConverseCommand({ ...input, messages }));
    expect(second.output?.message?.content?.at(-1)).toEqual({ text: 'The tool answered: "Sunny".' });
  });

  it.each<[string, ConverseCommandInput, string]>([
    ['an unknown model', { ...ask('a'), modelId: 'nope' }, 'The provided model identifier is invalid.'],
    ['a blank text', ask(' '), 'is blank'],
    [
      'a conversation that the assistant begins',
      { modelId, messages: [{ role: 'assistant', content: [{ text: 'a' }] }] },
      'must start with a user message',
    ],
    [
      'two turns of the user',
      { modelId, messages: [...(ask('a').messages ?? []), ...(ask('b').messages ?? [])] },
      'must alternate',
    ],
    [
      'a result without a call',
      {
        modelId,
        toolConfig,
        messages: [{ role: 'user', content: [{ toolResult: { toolUseId: 't', content: [] } }] }],
      },
      'exceeds the number of toolUse blocks',
    ],
  ])('refuses %s', async (_name, input, message) => {
    const failure = await client.send(new ConverseCommand(input)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'ValidationException', $metadata: { httpStatusCode: 400 } });
    expect(String(failure)).toContain(message);
  });

  it('throttles in the way of the service', async () => {
    const failure = await client
      .send(new ConverseCommand(ask('[[fault: status=429]]')))
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'ThrottlingException', $metadata: { httpStatusCode: 429 } });
  });

  it('says in the stream that it failed', async () => {
    const { stream } = await client.send(new ConverseStreamCommand(ask('[[fault: error-event-after=2]]')));
    await expect(accumulate(stream)).rejects.toMatchObject({ name: 'ServiceUnavailableException' });
  });

  it('sends a frame whose checksum is wrong when told', async () => {
    const { stream } = await client.send(
      new ConverseStreamCommand(ask('[[fault: malformed-after-events=2]]')),
    );
    await expect(accumulate(stream)).rejects.toThrow('checksum');
  });

  it.each(['cut-after-events=3', 'end-after-events=3', 'rst-before-headers'])(
    'breaks one stream of the connection and no other: %s',
    async fault => {
      const broken = client
        .send(new ConverseStreamCommand(ask(`[[words: 40]] [[fault: ${fault}]]`)))
        .then(({ stream }) => accumulate(stream));
      const whole = client.send(new ConverseCommand(ask('Hi')));
      const outcome = await broken.catch((error: unknown) => error);
      if (fault.startsWith('end')) expect(outcome).toMatchObject({ stopReason: undefined });
      else expect(outcome).toBeInstanceOf(Error);
      expect((await whole).stopReason).toBe('end_turn');
    },
  );

  it('refuses a request that is not signed', async () => {
    const response = await fetch(`${simulator.url}/bedrock/model/x/converse`, { method: 'POST', body: '{}' });
    expect(response.status).toBe(403);
    expect(response.headers.get('x-amzn-errortype')).toBe('MissingAuthenticationTokenException');
  });
});

describe("InvokeModel with Anthropic's bodies, with the AWS SDK", () => {
  const body = (more: object) =>
    JSON.stringify({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 100,
      messages: [{ role: 'user', content: '[[words: 20]]' }],
      ...more,
    });

  it('streams events that add up to the whole answer', async () => {
    const whole = await client.send(new InvokeModelCommand({ modelId, body: body({}) }));
    const message = JSON.parse(Buffer.from(whole.body).toString()) as {
      content: [{ text: string }];
      usage: object;
    };
    const stream = await client.send(new InvokeModelWithResponseStreamCommand({ modelId, body: body({}) }));
    let text = '';
    let metrics: unknown;
    for await (const { chunk } of stream.body ?? []) {
      const event = JSON.parse(Buffer.from(chunk?.bytes ?? []).toString()) as Record<string, unknown>;
      const delta = event.delta as { text?: string } | undefined;
      text += delta?.text ?? '';
      metrics ??= event['amazon-bedrock-invocationMetrics'];
    }
    expect(text).toBe(message.content[0].text);
    expect(message.usage).toMatchObject({ input_tokens: 7, output_tokens: 26 });
    expect(metrics).toMatchObject({ inputTokenCount: 7, outputTokenCount: 26 });
  });

  it('refuses a model in the body', async () => {
    const failure = client.send(new InvokeModelCommand({ modelId, body: body({ model: 'x' }) }));
    await expect(failure).rejects.toThrow('model: Extra inputs are not permitted');
  });
});

async function accumulate(stream: AsyncIterable<ConverseStreamOutput> | undefined) {
  const content: ContentBlock[] = [];
  const inputs: string[] = [];
  let stopReason: string | undefined;
  let usage: unknown;
  for await (const event of stream ?? []) {
    const { contentBlockStart: start, contentBlockDelta: piece } = event;
    if (start?.start?.toolUse)
      content[start.contentBlockIndex ?? 0] = {
        toolUse: { ...start.start.toolUse, toolUseId: '', input: {} },
      };
    if (piece) addDelta(content, inputs, piece);
    stopReason = event.messageStop?.stopReason ?? stopReason;
    usage = event.metadata?.usage ?? usage;
  }
  const whole = content.map((block, index) =>
    block.toolUse ? { toolUse: { ...block.toolUse, input: JSON.parse(inputs[index] ?? '{}') } } : block,
  );
  return { content: whole, stopReason, usage };
}

function addDelta(
  content: ContentBlock[],
  inputs: string[],
  piece: NonNullable<ConverseStreamOutput['contentBlockDelta']>,
): void {
  const index = piece.contentBlockIndex ?? 0;
  const { delta } = piece;
  if (delta?.toolUse) inputs[index] = (inputs[index] ?? '') + delta.toolUse.input;
  if (delta?.text !== undefined) content[index] = { text: (content[index]?.text ?? '') + delta.text };
  if (delta?.reasoningContent) {
    const before = content[index]?.reasoningContent?.reasoningText;
    content[index] = {
      reasoningContent: {
        reasoningText: {
          text: (before?.text ?? '') + (delta.reasoningContent.text ?? ''),
          signature: delta.reasoningContent.signature ?? before?.signature,
        },
      },
    };
  }
}

function withoutIds(content: ContentBlock[] | undefined): ContentBlock[] {
  return (content ?? []).map(block =>
    block.toolUse ? { toolUse: { ...block.toolUse, toolUseId: '' } } : block,
  );
}
