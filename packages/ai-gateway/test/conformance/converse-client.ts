import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  type StopReason,
  type TokenUsage,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client } from './client.ts';

/** Signs with the Strata key as its access key id: what the SDK does by itself. */
export const converseClient: Client = {
  name: '@aws-sdk/client-bedrock-runtime, Converse',
  protocol: 'bedrock-converse',
  async ask(server, model, test, isStream) {
    const sdk = new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: server.url,
      credentials: { accessKeyId: server.key, secretAccessKey: 'unused' },
      maxAttempts: 1,
      // By itself the SDK speaks HTTP/2. Streams go that way here, whole answers by HTTP/1.1.
      ...(!isStream && { requestHandler: new NodeHttpHandler() }),
    });
    try {
      const input = inputOf(model, test);
      if (isStream) return readStream((await sdk.send(new ConverseStreamCommand(input))).stream);
      const answer = await sdk.send(new ConverseCommand(input));
      return read(answer.output?.message?.content ?? [], answer.stopReason, answer.usage);
    } finally {
      sdk.destroy();
    }
  },
};

/** A schema as the SDK's own type for JSON has it. */
type Document = NonNullable<ConverseCommandInput['additionalModelRequestFields']>;

function inputOf(modelId: string, test: Case): ConverseCommandInput {
  const { prompt, system, image, pdf, tools, forcedTool, schema, stop, thinks } = test;
  return {
    modelId,
    inferenceConfig: { maxTokens: 4000, ...(stop && { stopSequences: [stop] }) },
    ...(system !== undefined && { system: [{ text: system }] }),
    messages: [
      {
        role: 'user',
        content: [
          { text: prompt },
          ...(image === undefined
            ? []
            : [
                {
                  image: {
                    format: 'png' as const,
                    source: { bytes: new Uint8Array(Buffer.from(image, 'base64')) },
                  },
                },
              ]),
          ...(pdf === undefined
            ? []
            : [
                {
                  document: {
                    format: 'pdf' as const,
                    name: 'page',
                    source: { bytes: new Uint8Array(Buffer.from(pdf, 'base64')) },
                  },
                },
              ]),
        ],
      },
    ],
    ...(tools && {
      toolConfig: {
        tools: tools.map(tool => ({
          toolSpec: { name: tool.name, inputSchema: { json: tool.schema as Document } }, // JSON by its very type
        })),
        ...(forcedTool && { toolChoice: { tool: { name: forcedTool } } }),
      },
    }),
    ...(schema && {
      outputConfig: {
        textFormat: {
          type: 'json_schema' as const,
          structure: { jsonSchema: { schema: JSON.stringify(schema), name: 'answer' } },
        },
      },
    }),
    ...(thinks && {
      additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } },
    }),
  };
}

/** Puts the deltas together as a client would. */
async function readStream(stream: AsyncIterable<ConverseStreamOutput> | undefined): Promise<Asked> {
  const blocks: { text: string; thought: string; name: string | undefined; input: string }[] = [];
  let stopReason: StopReason | undefined;
  let usage: TokenUsage | undefined;
  for await (const event of stream ?? []) {
    const index =
      event.contentBlockStart?.contentBlockIndex ?? event.contentBlockDelta?.contentBlockIndex ?? 0;
    if (event.contentBlockStart ?? event.contentBlockDelta) {
      if (index > blocks.length) throw new Error(`block ${index} after ${blocks.length}`);
      blocks[index] ??= { text: '', thought: '', name: undefined, input: '' };
    }
    const block = blocks[index];
    const delta = event.contentBlockDelta?.delta;
    if (block !== undefined) {
      block.name ??= event.contentBlockStart?.start?.toolUse?.name;
      block.text += delta?.text ?? '';
      block.input += delta?.toolUse?.input ?? '';
      block.thought += delta?.reasoningContent?.text ?? '';
    }
    stopReason = event.messageStop?.stopReason ?? stopReason;
    usage = event.metadata?.usage ?? usage;
  }
  const content = blocks.map(({ text, thought, name, input }): ContentBlock => {
    if (name !== undefined)
      return { toolUse: { toolUseId: '', name, input: JSON.parse(input || '{}') as Document } };
    return thought === '' ? { text } : { reasoningContent: { reasoningText: { text: thought } } };
  });
  return read(content, stopReason, usage);
}

function read(
  content: readonly ContentBlock[],
  stopReason: StopReason | undefined,
  usage: TokenUsage | undefined,
): Asked {
  const text = content.map(block => block.text ?? '').join('');
  const thoughts = content.map(block => block.reasoningContent?.reasoningText?.text ?? '').join('');
  const calls = content.flatMap(({ toolUse }) =>
    toolUse === undefined ? [] : [{ name: toolUse.name ?? '', arguments: toolUse.input }],
  );
  const finish = finishes[stopReason ?? ''] ?? 'stop';
  return {
    seen: {
      text: finish === 'refused' ? '' : text,
      refusal: finish === 'refused' ? text : '',
      calls,
      finish,
      inputTokens:
        (usage?.inputTokens ?? 0) + (usage?.cacheReadInputTokens ?? 0) + (usage?.cacheWriteInputTokens ?? 0),
      cachedTokens: usage?.cacheReadInputTokens ?? 0,
      outputTokens: usage?.outputTokens ?? 0,
    },
    message: { text, thoughts, calls, stopReason, usage },
  };
}

const finishes: Readonly<Record<string, Seen['finish']>> = {
  end_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  content_filtered: 'refused',
  guardrail_intervened: 'refused',
};
