import Anthropic from '@anthropic-ai/sdk';
import { ServiceUnavailableError } from '@anthropic-ai/sdk/error';
import {
  BedrockRuntimeServiceException,
  ConverseCommand,
  ConverseStreamCommand,
  ModelErrorException,
  ResourceNotFoundException,
  ServiceUnavailableException,
  ThrottlingException,
  ValidationException,
} from '@aws-sdk/client-bedrock-runtime';
import { ApiError, GoogleGenAI } from '@google/genai';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { APICallError, generateText, RetryError, streamText } from 'ai';
import OpenAI from 'openai';
import { expect } from 'vitest';
import { bedrockClient } from '../support/bedrock-client.ts';
import { aiSdkProviders } from './ai-sdk-clients.ts';
import type { Server } from './client.ts';
import { langChainModels } from './langchain-clients.ts';

export type Failure =
  | 'the caller'
  | 'the rate'
  | 'overload'
  | 'a failure'
  | 'the credential'
  | 'a stranger'
  | 'no model';

/** The class of an error and the status that it tells; without one where the SDK has no place for it. */
export interface Thrown {
  readonly type: unknown;
  readonly status: unknown;
}

export interface Asked {
  readonly server: Server;
  readonly model: string;
  readonly prompt: string;
  readonly retries: number;
  readonly isStream: boolean;
}

/** An SDK as it fails. Resolves with what it says of the end of an answer, when it takes it for one. */
export interface FailingSdk {
  readonly name: string;
  readonly protocol: string;
  ask(asked: Asked): Promise<unknown>;
  readonly throws: Readonly<Record<Failure, Thrown>>;
  /** Whether it can be told by `x-should-retry` that a 5xx is for good. */
  readonly heedsAdvice: boolean;
}

const of = (type: unknown, status: unknown): Thrown => ({ type, status });

/** What is thrown: a repeated call's error holds the last one. */
export function seen(thrown: unknown): Thrown {
  const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown;
  const { status, statusCode, $metadata } = error as {
    status?: number;
    statusCode?: number;
    $metadata?: { httpStatusCode?: number };
  };
  return {
    // Each provider of it may have a copy of the class.
    type: APICallError.isInstance(error) ? APICallError : (error as Error).constructor,
    status: status ?? statusCode ?? $metadata?.httpStatusCode,
  };
}

/** By name where an SDK does not export its class, or has a copy of it. */
const named = (name: string) => expect.toSatisfy((type: { name: string }) => type.name === name);

async function readAll(stream: AsyncIterable<unknown>): Promise<unknown> {
  let last: unknown;
  for await (const part of stream) last = part;
  return last;
}

const openaiThrows = {
  'the caller': of(OpenAI.BadRequestError, 400),
  'the rate': of(OpenAI.RateLimitError, 429),
  overload: of(OpenAI.InternalServerError, 503),
  'a failure': of(OpenAI.InternalServerError, 502),
  'the credential': of(OpenAI.InternalServerError, 502),
  'a stranger': of(OpenAI.AuthenticationError, 401),
  'no model': of(OpenAI.NotFoundError, 404),
};

const anthropicThrows = {
  'the caller': of(Anthropic.BadRequestError, 400),
  'the rate': of(Anthropic.RateLimitError, 429),
  overload: of(ServiceUnavailableError, 503),
  'a failure': of(Anthropic.InternalServerError, 502),
  'the credential': of(Anthropic.InternalServerError, 502),
  'a stranger': of(Anthropic.AuthenticationError, 401),
  'no model': of(Anthropic.NotFoundError, 404),
};

const bedrockThrows = {
  'the caller': of(ValidationException, 400),
  'the rate': of(ThrottlingException, 429),
  overload: of(ServiceUnavailableException, 503),
  'a failure': of(ModelErrorException, 502),
  'the credential': of(ModelErrorException, 502),
  'a stranger': of(BedrockRuntimeServiceException, 401),
  'no model': of(ResourceNotFoundException, 404),
};

/** Of an SDK with one class for all of them. */
const throwsOnly = (type: unknown) => ({
  'the caller': of(type, 400),
  'the rate': of(type, 429),
  overload: of(type, 503),
  'a failure': of(type, 502),
  'the credential': of(type, 502),
  'a stranger': of(type, 401),
  'no model': of(type, 404),
});

const openaiOf = ({ server, retries }: Asked) =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey: server.key, maxRetries: retries });

const bedrockOf = ({ server, retries }: Asked) =>
  bedrockClient(server, { maxAttempts: retries + 1, requestHandler: new NodeHttpHandler() });

const official: readonly FailingSdk[] = [
  {
    name: 'openai, chat',
    protocol: 'openai-chat',
    heedsAdvice: true,
    async ask(asked) {
      const body = { model: asked.model, messages: [{ role: 'user' as const, content: asked.prompt }] };
      const { completions } = openaiOf(asked).chat;
      if (!asked.isStream) return completions.create(body);
      return readAll(await completions.create({ ...body, stream: true }));
    },
    throws: openaiThrows,
  },
  {
    name: 'openai, responses',
    protocol: 'openai-responses',
    heedsAdvice: true,
    async ask(asked) {
      const body = { model: asked.model, input: asked.prompt };
      const { responses } = openaiOf(asked);
      return asked.isStream ? responses.stream(body).finalResponse() : responses.create(body);
    },
    throws: openaiThrows,
  },
  {
    name: '@anthropic-ai/sdk',
    protocol: 'anthropic-messages',
    heedsAdvice: true,
    async ask({ server, model, prompt, retries, isStream }) {
      const { messages } = new Anthropic({ baseURL: server.url, apiKey: server.key, maxRetries: retries });
      const body = { model, max_tokens: 100, messages: [{ role: 'user' as const, content: prompt }] };
      return isStream ? messages.stream(body).finalMessage() : messages.create(body);
    },
    throws: anthropicThrows,
  },
  {
    name: '@google/genai',
    protocol: 'gemini',
    heedsAdvice: false,
    async ask({ server, model, prompt, retries, isStream }) {
      const { models } = new GoogleGenAI({
        apiKey: server.key,
        httpOptions: {
          baseUrl: server.url,
          ...(retries > 0 && { retryOptions: { attempts: retries + 1 } }),
        },
      });
      const body = { model, contents: prompt };
      return isStream ? readAll(await models.generateContentStream(body)) : models.generateContent(body);
    },
    throws: throwsOnly(ApiError),
  },
  {
    name: '@aws-sdk/client-bedrock-runtime',
    protocol: 'bedrock-converse',
    heedsAdvice: false,
    async ask(asked) {
      const { model: modelId, prompt } = asked;
      const input = { modelId, messages: [{ role: 'user' as const, content: [{ text: prompt }] }] };
      const sdk = bedrockOf(asked);
      if (!asked.isStream) return sdk.send(new ConverseCommand(input));
      const { stream } = await sdk.send(new ConverseStreamCommand(input));
      if (stream === undefined) throw new Error('no stream');
      return readAll(stream);
    },
    throws: bedrockThrows,
  },
];

const vercel = aiSdkProviders.map(
  (provider): FailingSdk => ({
    name: provider.name,
    protocol: provider.protocol,
    heedsAdvice: false,
    async ask({ server, model, prompt, retries, isStream }) {
      const options = { model: provider.open(server)(model), prompt, maxRetries: retries };
      if (!isStream) return generateText(options);
      const { stream } = streamText({ ...options, onError: () => {} });
      let last: unknown;
      for await (const part of stream) {
        if (part.type === 'error') throw part.error;
        last = part;
      }
      return last;
    },
    throws: throwsOnly(APICallError),
  }),
);

const langChainThrows: Readonly<Record<string, FailingSdk['throws']>> = {
  'openai-chat': openaiThrows,
  'openai-responses': openaiThrows,
  // It brings an older release of Anthropic's SDK, which has no class of its own for 503.
  'anthropic-messages': {
    'the caller': of(named('BadRequestError'), 400),
    'the rate': of(named('RateLimitError'), 429),
    overload: of(named('InternalServerError'), 503),
    'a failure': of(named('InternalServerError'), 502),
    'the credential': of(named('InternalServerError'), 502),
    'a stranger': of(named('AuthenticationError'), 401),
    'no model': of(named('NotFoundError'), 404),
  },
  gemini: throwsOnly(named('RequestError')),
  'bedrock-converse': bedrockThrows,
};

const langChain = langChainModels.map(
  ({ name, protocol, open }): FailingSdk => ({
    name,
    protocol,
    heedsAdvice: false,
    async ask({ server, model, prompt, retries, isStream }) {
      const chat = open(server, model, { retries });
      return isStream ? readAll(await chat.stream(prompt)) : chat.invoke(prompt);
    },
    throws: langChainThrows[protocol] ?? throwsOnly(Error),
  }),
);

export const failingSdks: readonly FailingSdk[] = [...official, ...vercel, ...langChain];
