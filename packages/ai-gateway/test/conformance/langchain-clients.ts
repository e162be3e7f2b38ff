import { BedrockRuntimeClient } from '@aws-sdk/client-bedrock-runtime';
import { ChatAnthropic } from '@langchain/anthropic';
import { ChatBedrockConverse } from '@langchain/aws';
import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import {
  type AIMessageChunk,
  HumanMessage,
  SystemMessage,
  type UsageMetadata,
} from '@langchain/core/messages';
import { ChatGoogle } from '@langchain/google/node';
import { ChatOpenAI } from '@langchain/openai';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client, Server } from './client.ts';

interface OpenOptions {
  readonly thinks?: boolean | undefined;
  readonly retries?: number;
}

/** One of LangChain's chat models, with its address and key changed. */
export interface LangChainModel {
  readonly name: string;
  readonly protocol: string;
  readonly lacks?: readonly string[];
  readonly miscountsStreams?: boolean;
  open(server: Server, model: string, options: OpenOptions): BaseChatModel;
  /** What asks for an answer after a schema. */
  formatOf(schema: NonNullable<Case['schema']>): object;
}

const openaiFormat = (schema: object) => ({
  response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } },
});

/** `ChatOpenAI` sends its own `reasoning` only for models whose names it knows: an alias asks in `modelKwargs`. */
export const langChainModels: readonly LangChainModel[] = [
  {
    name: '@langchain/openai, chat',
    protocol: 'openai-chat',
    lacks: ['refusal'],
    open: ({ url, key }, model, { thinks, retries = 0 }) =>
      new ChatOpenAI({
        model,
        apiKey: key,
        configuration: { baseURL: `${url}/v1` },
        maxRetries: retries,
        maxTokens: 4000,
        useResponsesApi: false,
        ...(thinks && { modelKwargs: { reasoning_effort: 'medium' } }),
      }),
    formatOf: openaiFormat,
  },
  {
    name: '@langchain/openai, responses',
    protocol: 'openai-responses',
    lacks: ['a stop sequence'],
    open: ({ url, key }, model, { thinks, retries = 0 }) =>
      new ChatOpenAI({
        model,
        apiKey: key,
        configuration: { baseURL: `${url}/v1` },
        maxRetries: retries,
        maxTokens: 4000,
        useResponsesApi: true,
        zdrEnabled: true,
        ...(thinks && {
          modelKwargs: {
            reasoning: { effort: 'medium', summary: 'auto' },
            include: ['reasoning.encrypted_content'],
          },
        }),
      }),
    formatOf: openaiFormat,
  },
  {
    name: '@langchain/anthropic',
    protocol: 'anthropic-messages',
    miscountsStreams: true,
    open: ({ url, key }, model, { thinks, retries = 0 }) =>
      new ChatAnthropic({
        model,
        apiKey: key,
        anthropicApiUrl: url,
        maxRetries: retries,
        maxTokens: 4000,
        ...(thinks && { thinking: { type: 'enabled', budget_tokens: 2000 } }),
      }),
    formatOf: schema => ({ outputConfig: { format: { type: 'json_schema', schema } } }),
  },
  {
    name: '@langchain/google',
    protocol: 'gemini',
    lacks: ['error after some tokens', 'end without the terminal event'],
    open: ({ url, key }, model, { thinks, retries = 0 }) =>
      new ChatGoogle({
        model,
        apiKey: key,
        endpoint: url,
        platformType: 'gai',
        maxRetries: retries,
        maxOutputTokens: 4000,
        ...(thinks && { thinkingBudget: 2000 }),
      }),
    formatOf: schema => ({ responseSchema: schema }),
  },
  {
    name: '@langchain/aws, Converse',
    protocol: 'bedrock-converse',
    open: ({ url, key }, model, { thinks, retries = 0 }) =>
      new ChatBedrockConverse({
        model,
        region: 'us-east-1',
        supportsToolChoiceValues: ['auto', 'any', 'tool'],
        client: new BedrockRuntimeClient({
          region: 'us-east-1',
          endpoint: url,
          credentials: { accessKeyId: key, secretAccessKey: 'unused' },
          maxAttempts: retries + 1,
          requestHandler: new NodeHttpHandler(),
        }),
        maxRetries: retries,
        maxTokens: 4000,
        ...(thinks && {
          additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } },
        }),
      }),
    formatOf: schema => ({
      outputConfig: {
        textFormat: {
          type: 'json_schema',
          structure: { jsonSchema: { schema: JSON.stringify(schema), name: 'answer' } },
        },
      },
    }),
  },
];

export const langChainClients: readonly Client[] = langChainModels.map(langChain => ({
  name: langChain.name,
  protocol: langChain.protocol,
  ...(langChain.lacks && { lacks: langChain.lacks }),
  ...(langChain.miscountsStreams && { miscountsStreams: true }),
  tellsRefusalsAsText: true,
  async ask(server, model, test, isStream) {
    const chat = langChain.open(server, model, test);
    const forced = test.forcedTool ? { tool_choice: test.forcedTool } : {};
    const bound = test.tools ? chat.bindTools?.(test.tools.map(toolOf), forced) : undefined;
    const runnable = (bound ?? chat).withConfig({
      ...(test.stop && { stop: [test.stop], stopSequences: [test.stop] }),
      ...(test.schema && langChain.formatOf(test.schema)),
    });
    const messages = [
      ...(test.system === undefined ? [] : [new SystemMessage(test.system)]),
      messageOf(test),
    ];
    if (!isStream) return read(await runnable.invoke(messages));
    let whole: AIMessageChunk | undefined;
    for await (const chunk of await runnable.stream(messages)) whole = whole?.concat(chunk) ?? chunk;
    if (whole === undefined) throw new Error('no chunk');
    return read(whole);
  },
}));

function toolOf({ name, schema: parameters }: NonNullable<Case['tools']>[number]) {
  return { type: 'function' as const, function: { name, description: name, parameters: { ...parameters } } };
}

function messageOf({ prompt, image, pdf }: Case): HumanMessage {
  return new HumanMessage({
    content: [
      { type: 'text', text: prompt },
      ...(image === undefined
        ? []
        : [{ type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }]),
      ...(pdf === undefined
        ? []
        : [
            {
              type: 'file',
              source_type: 'base64',
              mime_type: 'application/pdf',
              data: pdf,
              metadata: { filename: 'page.pdf', name: 'page' },
            },
          ]),
    ],
  });
}

/** Each package puts it in another of these places. */
interface Metadata {
  readonly refusal?: string;
  readonly finish_reason?: string;
  readonly finishReason?: string;
  readonly stop_reason?: string;
  readonly stopReason?: string;
  readonly messageStop?: { readonly stopReason?: string };
  readonly incomplete_details?: { readonly reason?: string };
  readonly status?: string;
}

/** What is read of LangChain's `AIMessage`. */
interface Said {
  readonly text: string;
  readonly tool_calls?: readonly { readonly name: string; readonly args: unknown }[];
  readonly usage_metadata?: UsageMetadata | undefined;
  readonly additional_kwargs: object;
  readonly response_metadata: object;
}

function finishOf(meta: Metadata): string {
  const reason =
    meta.finish_reason ??
    meta.finishReason ??
    meta.stop_reason ??
    meta.stopReason ??
    meta.messageStop?.stopReason ??
    meta.incomplete_details?.reason ??
    meta.status;
  return String(reason).toLowerCase();
}

const finishes: Readonly<Record<string, Seen['finish']>> = {
  length: 'length',
  max_tokens: 'length',
  max_output_tokens: 'length',
  content_filter: 'refused',
  content_filtered: 'refused',
  refusal: 'refused',
  safety: 'refused',
};

function read(message: Said): Asked {
  const calls = (message.tool_calls ?? []).map(({ name, args }) => ({ name, arguments: args }));
  const meta: Metadata = { ...message.additional_kwargs, ...message.response_metadata };
  const reason = finishOf(meta);
  const finish = finishes[reason] ?? (calls.length > 0 ? 'tool-calls' : 'stop');
  const text = message.text || (meta.refusal ?? '');
  const usage = message.usage_metadata;
  return {
    seen: {
      text,
      refusal: '',
      calls,
      finish,
      inputTokens: usage?.input_tokens ?? 0,
      cachedTokens: usage?.input_token_details?.cache_read ?? 0,
      outputTokens: usage?.output_tokens ?? 0,
    },
    message: { text, calls, finish, reason },
  };
}
