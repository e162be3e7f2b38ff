import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
  type Message,
  type ToolUseBlockStart,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { LoopClient } from './loops.ts';

export const converseLoop: LoopClient = {
  name: '@aws-sdk/client-bedrock-runtime, Converse',
  protocol: 'bedrock-converse',
  open(server, prompt, isStream) {
    const sdk = new BedrockRuntimeClient({
      region: 'us-east-1',
      endpoint: server.url,
      credentials: { accessKeyId: server.key, secretAccessKey: 'unused' },
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler(),
    });
    const messages: Message[] = [{ role: 'user', content: [{ text: prompt }] }];
    const json = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    return {
      async turn(modelId) {
        const input: ConverseCommandInput = {
          modelId,
          messages,
          inferenceConfig: { maxTokens: 4000 },
          toolConfig: { tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json } } }] },
          additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } },
        };
        const message = isStream
          ? await readStream((await sdk.send(new ConverseStreamCommand(input))).stream)
          : (await sdk.send(new ConverseCommand(input))).output?.message;
        if (message === undefined) throw new Error('no message');
        messages.push(message);
        const content = message.content ?? [];
        const calls = content.flatMap(({ toolUse }) => toolUse?.toolUseId ?? []);
        if (calls.length > 0) messages.push({ role: 'user', content: calls.map(resultOf) });
        return { text: content.map(block => block.text ?? '').join(''), calls };
      },
    };
  },
};

function resultOf(toolUseId: string): ContentBlock {
  return { toolResult: { toolUseId, content: [{ text: 'Sunny' }] } };
}

/** The message as a client puts it together to send it back: text, thinking with its signature, calls. */
async function readStream(stream: AsyncIterable<ConverseStreamOutput> | undefined): Promise<Message> {
  const drafts: Draft[] = [];
  for await (const { contentBlockStart: start, contentBlockDelta: part } of stream ?? []) {
    const index = start?.contentBlockIndex ?? part?.contentBlockIndex;
    if (index === undefined) continue;
    drafts[index] ??= { text: '', thought: '', signature: '', input: '' };
    const draft = drafts[index];
    draft.use ??= start?.start?.toolUse;
    const delta = part?.delta;
    draft.text += delta?.text ?? '';
    draft.input += delta?.toolUse?.input ?? '';
    draft.thought += delta?.reasoningContent?.text ?? '';
    draft.signature += delta?.reasoningContent?.signature ?? '';
    draft.redacted ??= delta?.reasoningContent?.redactedContent;
  }
  return { role: 'assistant', content: drafts.map(blockOf) };
}

interface Draft {
  text: string;
  thought: string;
  signature: string;
  redacted?: Uint8Array | undefined;
  use?: ToolUseBlockStart | undefined;
  input: string;
}

function blockOf({ text, thought, signature, redacted, use, input }: Draft): ContentBlock {
  if (use !== undefined) {
    const { toolUseId, name } = use;
    return { toolUse: { toolUseId, name, input: JSON.parse(input || '{}') } };
  }
  if (redacted !== undefined) return { reasoningContent: { redactedContent: redacted } };
  if (thought === '' && signature === '') return { text };
  return { reasoningContent: { reasoningText: { text: thought, signature } } };
}
