import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventsOf, type RecordedStream, recordStreams } from './conformance/record-streams.ts';
import { type Ingress, ingresses } from './conformance/requests.ts';
import { upstreams } from './conformance/upstreams.ts';
import { mistakesIn } from './conformance/well-formed.ts';
import { post, type RawAnswer, type RunningGateway, startGateway } from './harness.ts';

/** Targets of one alias that speak different protocols: fallback, breaker and credentials work across them. */

let first: FakeUpstream;
let second: FakeUpstream;
let gateway: RunningGateway;
let recordings: ReadonlyMap<string, RecordedStream>;

beforeAll(async () => {
  recordings = await recordStreams('[[think: Hm.]][[say: From the one that works.]]');
  first = await startFakeUpstream({ plan: [] });
  second = await startFakeUpstream({ plan: [] });
});
afterAll(async () => {
  await first.close();
  await second.close();
});
afterEach(() => gateway.close());

/** `first-gemini` and so on, with an alias `gemini.openai-chat` for each pair. */
async function open(more: object = {}, firstKeys: string | readonly string[] = 'sk-first'): Promise<void> {
  const at = (prefix: string, url: string, api_key: unknown) =>
    upstreams.map(({ name, provider }) => [
      `${prefix}-${name}`,
      { api_key, allow_private: true, ...provider(url) },
    ]);
  gateway = await startGateway({
    section: {
      providers: Object.fromEntries([
        ...at('first', first.url, firstKeys),
        ...at('second', second.url, 'sk-second'),
      ]),
      models: Object.fromEntries(
        upstreams.flatMap(one =>
          upstreams.map(other => [
            `${one.name}.${other.name}`,
            {
              targets: [
                { provider: `first-${one.name}`, model: one.thinkingModel },
                { provider: `second-${other.name}`, model: other.thinkingModel },
              ],
            },
          ]),
        ),
      ),
      attempts: { max_rounds: 1 },
      breaker: { failures: 1000 },
      ...more,
    },
  });
}

function recording(name: string): RecordedStream {
  const found = recordings.get(name);
  if (found === undefined) throw new Error(`no recording of ${name}`);
  return found;
}

function streamPlan(name: string, bytes: Buffer): Plan {
  return [
    { op: 'headers', headers: { 'content-type': recording(name).contentType } },
    { op: 'write', bytes },
  ];
}

const ask = ({ path, body }: Ingress, alias: string): Promise<RawAnswer> =>
  post(gateway, path(encodeURIComponent(alias)), body(alias, 'x'));

const sse = (type: string, data: object) =>
  Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
const said = { message: 'x', type: 'server_error', code: 'server_error' };

/** How each vendor says in a stream that it failed. */
const errorEvents: Readonly<Record<string, Buffer>> = {
  'openai-chat': Buffer.from(`data: ${JSON.stringify({ error: said })}\n\n`),
  'openai-responses': sse('error', { code: 'server_error', message: 'x', sequence_number: 1 }),
  'anthropic-messages': sse('error', { error: { type: 'overloaded_error', message: 'x' } }),
  gemini: Buffer.from(
    `data: ${JSON.stringify({ error: { code: 503, status: 'UNAVAILABLE', message: 'x' } })}\n\n`,
  ),
  'bedrock-converse': formatAwsEvent({
    messageType: 'exception',
    type: 'serviceUnavailableException',
    payload: { message: 'x' },
  }),
  'cohere-chat': sse('message-end', { delta: { finish_reason: 'ERROR' } }),
};

/** The events of each protocol that say nothing yet. */
const preambles: Readonly<Record<string, number>> = { gemini: 0 };

function failing(name: string, kind: 'error event' | 'silent end' | 'garbage'): Plan {
  const [beginning = Buffer.alloc(0)] = eventsOf(recording(name));
  const preamble = preambles[name] === 0 ? Buffer.alloc(0) : beginning;
  if (kind === 'silent end') return streamPlan(name, preamble);
  const last = kind === 'garbage' ? Buffer.from('data: {"broken\n\n') : errorEvents[name];
  return streamPlan(name, Buffer.concat([preamble, last ?? Buffer.alloc(0)]));
}

const pairs = upstreams.flatMap(one =>
  upstreams.filter(other => other !== one).map(other => [one.name, other.name] as const),
);

describe.each(ingresses.map(each => [each.name, each] as const))('%s', (ingressName, ingress) => {
  test.each(['error event', 'silent end', 'garbage'] as const)(
    '[AI-1] [F27] [F30] [F40] %s before the first meaningful event: the target in another protocol answers',
    async kind => {
      await open();
      for (const [one, other] of pairs) {
        first.use(failing(one, kind));
        second.use(streamPlan(other, recording(other).bytes));
        const before = gateway.records.length;
        const answer = await ask(ingress, `${one}.${other}`);
        const pair = `${one} → ${other}`;
        expect(answer.status, `${pair}: ${answer.body.toString()}`).toBe(200);
        expect(answer.headers, pair).toMatchObject({
          'x-strata-provider': `second-${other}`,
          'x-strata-attempts': '2',
        });
        if (ingress.protocol !== other)
          expect(mistakesIn[ingressName]?.(answer.body, 'terminal'), pair).toEqual([]);
        const records = (await gateway.recorded(before + 2)).slice(before);
        expect(records.map(({ outcome }) => outcome)).toEqual(['failed', 'answered']);
      }
    },
    30_000,
  );

  test('[AI-1] [AI-3] an error after the first meaningful event: no other target, and the end of its protocol', async () => {
    await open();
    for (const [one, other] of pairs.filter(([name]) => name !== ingress.protocol)) {
      const events = eventsOf(recording(one));
      const begun = Buffer.concat([...events.slice(0, 6), errorEvents[one] ?? Buffer.alloc(0)]);
      first.use(streamPlan(one, begun));
      const before = second.requests.length;
      const answer = await ask(ingress, `${one}.${other}`);
      expect(answer.headers, one).toMatchObject({ 'x-strata-provider': `first-${one}` });
      expect(mistakesIn[ingressName]?.(answer.body, 'error'), one).toEqual([]);
      expect(second.requests.length).toBe(before);
    }
  });
});

const [chat] = ingresses;
if (chat === undefined) throw new Error('no ingress');
const refused = jsonPlan({ type: 'error', error: { type: 'api_error', message: 'x' } }, { status: 500 });
const limited = jsonPlan({ error: { type: 'rate_limit_error', message: 'x' } }, { status: 429 });

test('[F36] the breaker of a target counts its failures whatever the clients speak, and its probe brings it back', async () => {
  await open({ breaker: { failures: 4, open_ms: 300 } });
  first.use(refused);
  second.use(streamPlan('gemini', recording('gemini').bytes));
  const before = first.requests.length;
  for (let round = 0; round < 2; round++)
    for (const ingress of ingresses) {
      const answer = await ask(ingress, 'anthropic-messages.gemini');
      expect(answer.headers).toMatchObject({ 'x-strata-provider': 'second-gemini' });
    }
  expect(first.requests.length - before).toBe(4);
  first.use(streamPlan('anthropic-messages', recording('anthropic-messages').bytes));
  await expect
    .poll(async () => (await ask(chat, 'anthropic-messages.gemini')).headers['x-strata-provider'], {
      timeout: 20_000,
    })
    .toBe('first-anthropic-messages');
});

test('[F35] each credential of a pool is tried, then the target in another protocol; a limited one is left alone', async () => {
  await open({}, ['sk-one', 'sk-two']);
  const keys: unknown[] = [];
  const before = first.requests.length;
  first.use(request => {
    keys.push(request.headers['x-api-key']);
    return limited;
  });
  second.use(streamPlan('bedrock-converse', recording('bedrock-converse').bytes));
  for (const ingress of ingresses.slice(0, 3)) {
    const answer = await ask(ingress, 'anthropic-messages.bedrock-converse');
    expect(answer.headers).toMatchObject({ 'x-strata-provider': 'second-bedrock-converse' });
    expect(mistakesIn[ingress.name]?.(answer.body, 'terminal')).toEqual([]);
  }
  expect(keys.slice(0, 2).sort()).toEqual(['sk-one', 'sk-two']);
  expect(first.requests.length - before).toBeLessThanOrEqual(6);
});
