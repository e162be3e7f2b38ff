import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from '../harness.ts';
import { type FailingSdk, failingSdks } from './failing-sdks.ts';
import { matrixSection } from './matrix-gateway.ts';
import { upstreams } from './upstreams.ts';

/** What fails in the middle of a stream is thrown by each SDK with what it can be told: none hangs, none takes it for an end. */

let simulator: Simulator;
let gateway: RunningGateway;

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  const section = {
    ...matrixSection(simulator.url),
    attempts: { max_rounds: 1, idle_timeout_ms: 1000 },
  };
  gateway = await startGateway({ section });
});
afterAll(async () => {
  await gateway.close();
  await simulator.close();
});

const faults = {
  'an error event': 'error-event-after',
  'a cut connection': 'cut-after-events',
  'a body without its end': 'fin-after-events',
  'an end that comes too early': 'end-after-events',
  'broken JSON': 'malformed-after-events',
  silence: 'stall-after-events',
} as const;
type Fault = keyof typeof faults;

/** Of the same protocol the provider's own words pass, and what an SDK makes of them is its own affair. */
const passing: ReadonlySet<Fault> = new Set(['an error event', 'broken JSON']);

/** Their simulators say of the error that they are overloaded; the others only that they failed. */
const overloaded: ReadonlySet<string> = new Set(['anthropic-messages', 'gemini', 'bedrock-converse']);

/** The class that is thrown and what it tells, in the words that each SDK has for it. */
type Words = Readonly<Record<Fault | 'overload', string>>;

const openai: Words = {
  overload: 'APIError upstream_overloaded',
  'an error event': 'APIError upstream_stream_error',
  'a cut connection': 'APIError upstream_reset',
  'a body without its end': 'APIError upstream_reset',
  'an end that comes too early': 'APIError upstream_stream_truncated',
  'broken JSON': 'APIError upstream_event_malformed',
  silence: 'APIError upstream_body_timeout',
};

const wordsOf = (words: { overload: string; failure: string; silence: string }): Words => ({
  overload: words.overload,
  'an error event': words.failure,
  'a cut connection': words.failure,
  'a body without its end': words.failure,
  'an end that comes too early': words.failure,
  'broken JSON': words.failure,
  silence: words.silence,
});
const anthropic = wordsOf({
  overload: 'APIError overloaded_error',
  failure: 'APIError api_error',
  silence: 'APIError timeout_error',
});
const bedrock = wordsOf({
  overload: 'ServiceUnavailableException',
  failure: 'InternalServerException',
  silence: 'InternalServerException',
});
/** It passes the error over, also that of Google itself: all there is to see is that no reason to finish came. */
const unseen = 'an end without a reason to finish';

const words: Readonly<Record<string, Words>> = {
  'openai, chat': openai,
  'openai, responses': openai,
  '@anthropic-ai/sdk': anthropic,
  '@google/genai': wordsOf({ overload: 'ApiError 503', failure: 'ApiError 502', silence: 'ApiError 504' }),
  '@aws-sdk/client-bedrock-runtime': bedrock,
  '@langchain/openai, chat': openai,
  '@langchain/openai, responses': openai,
  '@langchain/anthropic': anthropic,
  '@langchain/google': wordsOf({ overload: unseen, failure: unseen, silence: unseen }),
  '@langchain/aws, Converse': bedrock,
};

function expected(sdk: FailingSdk, upstream: string, fault: Fault): unknown {
  if (passing.has(fault) && upstream === sdk.protocol) return expect.any(String);
  const known = words[sdk.name];
  if (known === undefined) return expect.stringMatching(/^StreamProviderError/); // which status it tells is its own affair
  if (fault === 'an error event' && overloaded.has(upstream)) return known.overload;
  if (fault === 'broken JSON' && known === openai && upstream === 'bedrock-converse')
    return 'APIError aws_event_malformed';
  return known[fault];
}

function told(thrown: unknown): string {
  const { code, status, statusCode, error } = thrown as {
    code?: string | null;
    status?: number;
    statusCode?: number;
    error?: { error?: { type?: string } };
  };
  const what = status ?? statusCode ?? code ?? error?.error?.type ?? '';
  return `${(thrown as Error).constructor.name} ${what}`.trim();
}

async function endOf(sdk: FailingSdk, model: string, fault: Fault): Promise<string> {
  const { url, key } = gateway;
  const prompt = `[[words: 40]][[fault: ${faults[fault]}=9]]`;
  try {
    const last = await sdk.ask({ server: { url, key }, model, prompt, retries: 1, isStream: true });
    const { response_metadata: meta } = last as { response_metadata?: { finishReason?: string } };
    return meta !== undefined && meta.finishReason === undefined ? unseen : 'an end';
  } catch (error) {
    return told(error);
  }
}

describe.each(failingSdks.map(each => [each.name, each] as const))('%s', (_name, sdk) => {
  test.each(Object.keys(faults) as Fault[])('%s, of each upstream', async fault => {
    const ends = await Promise.all(upstreams.map(async ({ name }) => [name, await endOf(sdk, name, fault)]));
    const wanted = upstreams.map(({ name }) => [name, expected(sdk, name, fault)]);
    expect(ends).toEqual(wanted);
  });
});
