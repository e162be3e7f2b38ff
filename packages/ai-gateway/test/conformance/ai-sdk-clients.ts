import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, type LanguageModel, Output, streamText, type ToolSet } from 'ai';
import type { Case, Seen } from './cases.ts';
import type { Asked, Client, Server } from './client.ts';

/** One of the Vercel AI SDK's providers, with its base URL and key changed. */
export interface AiSdkProvider {
  readonly name: string;
  readonly protocol: string;
  open(server: Server): (model: string) => LanguageModel;
  readonly lacks?: readonly string[];
  /** What asks for thinking. */
  readonly thinking: ProviderOptions;
}

type ProviderOptions = NonNullable<Parameters<typeof generateText>[0]['providerOptions']>;

export const aiSdkProviders: readonly AiSdkProvider[] = [
  {
    name: '@ai-sdk/openai, chat',
    protocol: 'openai-chat',
    open: ({ url, key }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat,
    thinking: { openai: { reasoningEffort: 'medium', forceReasoning: true } },
  },
  {
    name: '@ai-sdk/openai, responses',
    protocol: 'openai-responses',
    lacks: ['a stop sequence'],
    open: ({ url, key }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses,
    thinking: {
      openai: {
        reasoningEffort: 'medium',
        reasoningSummary: 'auto',
        forceReasoning: true,
        store: false,
        include: ['reasoning.encrypted_content'],
      },
    },
  },
  {
    name: '@ai-sdk/anthropic',
    protocol: 'anthropic-messages',
    open: ({ url, key }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key }),
    thinking: { anthropic: { thinking: { type: 'enabled', budgetTokens: 2000 } } },
  },
  {
    name: '@ai-sdk/google',
    protocol: 'gemini',
    open: ({ url, key }) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }),
    thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 } } },
  },
  {
    name: '@ai-sdk/amazon-bedrock',
    protocol: 'bedrock-converse',
    open: ({ url, key }) => createAmazonBedrock({ region: 'us-east-1', baseURL: url, apiKey: key }),
    // Its own `reasoningConfig` is for models with `anthropic` in their names.
    thinking: {
      bedrock: { additionalModelRequestFields: { thinking: { type: 'enabled', budget_tokens: 2000 } } },
    },
  },
];

export const aiSdkClients: readonly Client[] = aiSdkProviders.map(provider => ({
  name: provider.name,
  protocol: provider.protocol,
  ...(provider.lacks && { lacks: provider.lacks }),
  tellsRefusalsAsText: true,
  async ask(server, model, test, isStream) {
    const options = optionsFor(provider, provider.open(server)(model), test);
    if (!isStream) return read(await generateText(options));
    const result = streamText({ ...options, onError: () => {} });
    for await (const part of result.stream) if (part.type === 'error') throw part.error;
    return read({
      text: await result.text,
      reasoningText: await result.reasoningText,
      toolCalls: await result.toolCalls,
      finishReason: await result.finishReason,
      usage: await result.usage,
    });
  },
}));

function optionsFor(provider: AiSdkProvider, model: LanguageModel, test: Case) {
  const { prompt, system, image, pdf, tools, forcedTool, schema, stop, thinks } = test;
  return {
    model,
    maxRetries: 0,
    maxOutputTokens: 4000,
    ...(system !== undefined && { system }),
    ...(stop && { stopSequences: [stop] }),
    ...(forcedTool && { toolChoice: { type: 'tool' as const, toolName: forcedTool } }),
    messages: [
      {
        role: 'user' as const,
        content: [
          { type: 'text' as const, text: prompt },
          ...(image === undefined
            ? []
            : [{ type: 'file' as const, mediaType: 'image/png', data: Buffer.from(image, 'base64') }]),
          ...(pdf === undefined
            ? []
            : [
                {
                  type: 'file' as const,
                  mediaType: 'application/pdf',
                  filename: 'page.pdf',
                  data: Buffer.from(pdf, 'base64'),
                },
              ]),
        ],
      },
    ],
    ...(tools && {
      tools: Object.fromEntries<ToolSet[string]>(
        tools.map(each => [each.name, { inputSchema: jsonSchema({ ...each.schema }) }]),
      ),
    }),
    ...(schema && { output: Output.object({ schema: jsonSchema({ ...schema }), name: 'answer' }) }),
    ...(thinks && { providerOptions: provider.thinking }),
  };
}

interface Result {
  readonly text: string;
  readonly reasoningText: string | undefined;
  readonly toolCalls: readonly { readonly toolName: string; readonly input: unknown }[];
  readonly finishReason: string;
  readonly usage: {
    readonly inputTokens: number | undefined;
    readonly inputTokenDetails: { readonly cacheReadTokens: number | undefined };
    readonly outputTokens: number | undefined;
  };
}

const finishes: Readonly<Record<string, Seen['finish']>> = {
  length: 'length',
  'tool-calls': 'tool-calls',
  'content-filter': 'refused',
};

function read({ text, reasoningText, toolCalls, finishReason, usage }: Result): Asked {
  const calls = toolCalls.map(({ toolName, input }) => ({ name: toolName, arguments: input }));
  return {
    seen: {
      text,
      refusal: '',
      calls,
      finish: finishes[finishReason] ?? 'stop',
      inputTokens: usage.inputTokens ?? 0,
      cachedTokens: usage.inputTokenDetails.cacheReadTokens ?? 0,
      outputTokens: usage.outputTokens ?? 0,
    },
    message: { text, reasoningText, calls, finishReason, usage },
  };
}
