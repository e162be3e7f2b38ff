import Anthropic from '@anthropic-ai/sdk';
import { ServiceUnavailableError } from '@anthropic-ai/sdk/error';
import {
  BedrockRuntimeClient,
  BedrockRuntimeServiceException,
  ConverseCommand,
  ModelErrorException,
  ResourceNotFoundException,
  ServiceUnavailableException,
  ThrottlingException,
  ValidationException,
} from '@aws-sdk/client-bedrock-runtime';
import { ApiError, GoogleGenAI } from '@google/genai';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningGateway } from '../harness.ts';
import { startMatrixGateway } from './matrix-gateway.ts';
import { upstreams } from './upstreams.ts';

/** What fails at any upstream is thrown by each official SDK as the class that it has for it, and repeated by it only where that can help. */

let simulator: Simulator;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startMatrixGateway(simulator);
});
afterAll(async () => {
  await gateway.close();
  await simulator.close();
});

type Failure =
  | 'the caller'
  | 'the rate'
  | 'overload'
  | 'a failure'
  | 'the credential'
  | 'a stranger'
  | 'no model';

interface Sdk {
  readonly name: string;
  ask(options: { model: string; prompt: string; key: string; retries: number }): Promise<unknown>;
  readonly throws: Readonly<Record<Failure, object>>;
  /** Whether it can be told by `x-should-retry` that a 5xx is for good. */
  readonly heedsAdvice: boolean;
}

const error = (type: unknown, status: number) => ({ type, status });

const openaiErrors = {
  'the caller': error(OpenAI.BadRequestError, 400),
  'the rate': error(OpenAI.RateLimitError, 429),
  overload: error(OpenAI.InternalServerError, 503),
  'a failure': error(OpenAI.InternalServerError, 502),
  'the credential': error(OpenAI.InternalServerError, 502),
  'a stranger': error(OpenAI.AuthenticationError, 401),
  'no model': error(OpenAI.NotFoundError, 404),
};

const openaiOf = (key: string, retries: number) =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: retries });

const sdks: readonly Sdk[] = [
  {
    name: 'openai, chat',
    heedsAdvice: true,
    ask: ({ model, prompt, key, retries }) =>
      openaiOf(key, retries).chat.completions.create({
        model,
        messages: [{ role: 'user', content: prompt }],
      }),
    throws: openaiErrors,
  },
  {
    name: 'openai, responses',
    heedsAdvice: true,
    ask: ({ model, prompt, key, retries }) =>
      openaiOf(key, retries).responses.create({ model, input: prompt }),
    throws: openaiErrors,
  },
  {
    name: '@anthropic-ai/sdk',
    heedsAdvice: true,
    ask: ({ model, prompt, key, retries }) =>
      new Anthropic({ baseURL: gateway.url, apiKey: key, maxRetries: retries }).messages.create({
        model,
        max_tokens: 100,
        messages: [{ role: 'user', content: prompt }],
      }),
    throws: {
      'the caller': error(Anthropic.BadRequestError, 400),
      'the rate': error(Anthropic.RateLimitError, 429),
      overload: error(ServiceUnavailableError, 503),
      'a failure': error(Anthropic.InternalServerError, 502),
      'the credential': error(Anthropic.InternalServerError, 502),
      'a stranger': error(Anthropic.AuthenticationError, 401),
      'no model': error(Anthropic.NotFoundError, 404),
    },
  },
  {
    name: '@google/genai',
    heedsAdvice: false,
    ask: ({ model, prompt, key, retries }) =>
      new GoogleGenAI({
        apiKey: key,
        httpOptions: {
          baseUrl: gateway.url,
          ...(retries > 0 && { retryOptions: { attempts: retries + 1 } }),
        },
      }).models.generateContent({ model, contents: prompt }),
    throws: {
      'the caller': error(ApiError, 400),
      'the rate': error(ApiError, 429),
      overload: error(ApiError, 503),
      'a failure': error(ApiError, 502),
      'the credential': error(ApiError, 502),
      'a stranger': error(ApiError, 401),
      'no model': error(ApiError, 404),
    },
  },
  {
    name: '@aws-sdk/client-bedrock-runtime',
    heedsAdvice: false,
    ask: ({ model, prompt, key, retries }) =>
      new BedrockRuntimeClient({
        region: 'us-east-1',
        endpoint: gateway.url,
        token: { token: key },
        authSchemePreference: ['httpBearerAuth'],
        maxAttempts: retries + 1,
      }).send(
        new ConverseCommand({ modelId: model, messages: [{ role: 'user', content: [{ text: prompt }] }] }),
      ),
    throws: {
      'the caller': error(ValidationException, 400),
      'the rate': error(ThrottlingException, 429),
      overload: error(ServiceUnavailableException, 503),
      'a failure': error(ModelErrorException, 502),
      'the credential': error(ModelErrorException, 502),
      'a stranger': error(BedrockRuntimeServiceException, 401),
      'no model': error(ResourceNotFoundException, 404),
    },
  },
];

const statuses = [
  ['the caller', 400, false],
  ['the rate', 429, true],
  ['overload', 503, true],
  ['a failure', 500, true],
  ['the credential', 401, false],
] as const;

function seen(thrown: unknown): { type: unknown; status: unknown } {
  const { status, $metadata } = thrown as { status?: number; $metadata?: { httpStatusCode?: number } };
  return { type: (thrown as Error).constructor, status: status ?? $metadata?.httpStatusCode };
}

const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => expect.fail('nothing was thrown'),
    (thrown: unknown) => seen(thrown),
  );

describe.each(sdks.map(each => [each.name, each] as const))('%s', (_name, sdk) => {
  test.each(upstreams.flatMap(({ name }) => statuses.map(each => [each[0], name, each] as const)))(
    '%s, at %s',
    async (failure, model, [, status]) => {
      const asked = { model, prompt: `[[fault: status=${status}]]`, key: gateway.key, retries: 0 };
      expect(await thrownBy(sdk.ask(asked))).toEqual(sdk.throws[failure]);
    },
  );

  test('a stranger, and a model that is not there', async () => {
    const asked = { model: 'openai-chat', prompt: 'x', key: gateway.key, retries: 0 };
    const stranger = await thrownBy(sdk.ask({ ...asked, key: 'sk-strata-not-a-key' }));
    expect(stranger).toEqual(sdk.throws['a stranger']);
    expect(await thrownBy(sdk.ask({ ...asked, model: 'nowhere' }))).toEqual(sdk.throws['no model']);
  });

  test.each(statuses)('is repeated, or not: %s', async (_failure, status, canHelp) => {
    const before = simulator.requests.length;
    const prompt = `[[fault: status=${status};retry-after=0]]`;
    await thrownBy(sdk.ask({ model: 'anthropic-messages', prompt, key: gateway.key, retries: 1 }));
    const asked = simulator.requests.length - before;
    if (canHelp) expect(asked).toBe(2);
    else if (status < 500 && (sdk.heedsAdvice || status === 400)) expect(asked).toBe(1);
  });
});

test.each(sdks.slice(0, 3).map(each => [each.name, each] as const))(
  '%s waits for as long as the provider asks',
  async (name, sdk) => {
    const startedAtMs = performance.now();
    const prompt = `[[say: At last.]][[fault: status=429;retry-after=2;times=1;id=${name}]]`;
    await sdk.ask({ model: 'openai-chat', prompt, key: gateway.key, retries: 1 });
    expect(performance.now() - startedAtMs).toBeGreaterThan(1900); // its own wait would be half a second
  },
);
