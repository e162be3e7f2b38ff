import { randomInt } from 'node:crypto';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RecordedStream, recordStreams } from './conformance/record-streams.ts';
import { ingresses } from './conformance/requests.ts';
import { upstreams } from './conformance/upstreams.ts';
import { mistakesIn, withoutIds } from './conformance/well-formed.ts';
import { post, type RawAnswer, type RunningGateway, startGateway } from './harness.ts';

/** Streams between protocols, on real sockets, whatever the upstream does. Recorded from the simulator, replayed byte by byte. */

const prompt =
  '[[think: Grüße 世界.]][[tools: get_weather {"city":"Rome"} ; get_weather {"city":"東京 \\"x\\""} ; get_weather {"city":"Oslo"}]]';

let upstream: FakeUpstream;
let gateway: RunningGateway;
let recordings: ReadonlyMap<string, RecordedStream>;

beforeAll(async () => {
  recordings = await recordStreams(prompt);
  upstream = await startFakeUpstream({ plan: [] });
  gateway = await startGateway({
    section: {
      providers: Object.fromEntries(
        upstreams.map(({ name, provider }) => [
          name,
          { api_key: 'sk-provider', allow_private: true, ...provider(upstream.url) },
        ]),
      ),
      models: Object.fromEntries(
        upstreams.map(({ name, thinkingModel }) => [
          name,
          { targets: [{ provider: name, model: thinkingModel, prices: { input: '1', output: '2' } }] },
        ]),
      ),
      attempts: { max_rounds: 1 },
      breaker: { failures: 1000 },
    },
  });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

function recording(name: string) {
  const found = recordings.get(name);
  if (found === undefined) throw new Error(`no recording of ${name}`);
  return found;
}

const requestIdOf = (answer: RawAnswer) =>
  String(answer.headers['x-request-id'] ?? answer.headers['request-id']);

/** Slices of the given size; 0: of random sizes. */
function sliced(name: string, sliceBytes: number, random: () => number): Plan {
  const { bytes, contentType } = recording(name);
  const steps: Plan[number][] = [{ op: 'headers', headers: { 'content-type': contentType } }];
  if (sliceBytes > 0) return [...steps, { op: 'drip', bytes, sliceBytes }];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + Math.floor(random() * 200);
    steps.push({ op: 'drip', bytes: bytes.subarray(at, end), sliceBytes: 1000 });
    at = end;
  }
  return steps;
}

describe.each(ingresses.map(each => [each.name, each] as const))('%s', (ingressName, ingress) => {
  const { protocol } = ingress;
  const ask = (name: string) => post(gateway, ingress.path(name), ingress.body(name, 'x'));
  const translated = upstreams.filter(each => each.name !== protocol);
  // What is binary has rules of its own: its reader is fuzzed where it is.
  const asEvents = translated.filter(each => each.name !== 'bedrock-converse');
  // Its exceptions hold a message alone.
  const namesReasons = protocol !== 'bedrock-converse';
  const mistakes = mistakesIn[ingressName];
  if (mistakes === undefined) throw new Error(`no rules for ${ingressName}`);

  test.each(upstreams.map(({ name }) => name))(
    '[F28] from %s: however its bytes are split, the same bytes arrive',
    async name => {
      const seed = randomInt(2 ** 31);
      const random = seededRandom(seed);
      const answers = [];
      for (const size of [1_000_000, 1, 7, 0]) {
        upstream.use(sliced(name, size, random));
        const answer = await ask(name);
        answers.push(withoutIds(answer.body, requestIdOf(answer)));
        if (protocol !== name) expect(mistakes(answer.body, 'terminal'), `seed ${seed}`).toEqual([]);
      }
      expect(new Set(answers).size, `seed ${seed}`).toBe(1);
      expect(answers[0]).toContain('東京');
    },
    30_000,
  );

  test.each(translated.map(({ name }) => name))(
    '[I13] [F25] [F26] [F27] [AI-3] from %s: cut anywhere, an error status or a stream that ends in an error',
    async name => {
      const { bytes } = recording(name);
      const step = Math.ceil(bytes.length / 40);
      let streams = 0;
      for (let afterBytes = 0; afterBytes < bytes.length - 200; afterBytes += step) {
        const how = afterBytes % 2 === 0 ? 'rst' : 'fin';
        upstream.use(cutOf(name, afterBytes, how));
        const answer = await ask(name);
        if (answer.status !== 200) {
          expect(answer.status).toBe(502);
          continue;
        }
        streams++;
        expect(mistakes(answer.body, 'error'), `${how} after ${afterBytes}`).toEqual([]);
        expect(answer.isComplete).toBe(true);
      }
      expect(streams).toBeGreaterThan(5);
    },
    30_000,
  );

  test.each(asEvents.map(({ name }) => name))(
    '[F30] [F31] from %s: garbage and endless lines end the stream in an error',
    async name => {
      const { bytes, contentType } = recording(name);
      const text = bytes.toString('latin1');
      const middle = endOfEvent(text, Math.floor(text.length / 2));
      const head: Plan[number] = { op: 'headers', headers: { 'content-type': contentType } };
      const begin: Plan[number] = { op: 'write', bytes: bytes.subarray(0, middle) };
      upstream.use([head, begin, { op: 'write', bytes: 'data: {"broken\n\n' }]);
      const garbage = await ask(name);
      expect(mistakes(garbage.body, 'error')).toEqual([]);
      if (namesReasons) expect(garbage.body.toString()).toContain('upstream_event_malformed');
      upstream.use([head, begin, { op: 'repeat', bytes: Buffer.alloc(65_536, 'x'), times: 400 }]);
      const endless = await ask(name);
      expect(mistakes(endless.body, 'error')).toEqual([]);
      if (namesReasons) expect(endless.body.toString()).toContain('sse_line_too_long');
    },
  );

  test('[F30] from bedrock-converse: a frame with a wrong checksum ends the stream in an error', async () => {
    const { bytes, contentType } = recording('bedrock-converse');
    const broken = Buffer.from(bytes);
    const at = Math.floor(broken.length / 2);
    broken[at] = (broken[at] ?? 0) ^ 1;
    upstream.use([
      { op: 'headers', headers: { 'content-type': contentType } },
      { op: 'write', bytes: broken },
    ]);
    const answer = await ask('bedrock-converse');
    // What passes raw is a prefix of what came, and the error.
    const isRaw = protocol === 'bedrock-converse';
    expect(mistakes(answer.body, 'error')).toEqual(isRaw ? ['a block is left open'] : []);
    expect(answer.isComplete).toBe(true);
  });

  test.each(translated.map(({ name }) => name))(
    '[F40] from %s: an error inside a 200 is an error in the words of the client',
    async name => {
      const error = { type: 'server_error', code: 'server_error', message: 'x' };
      upstream.use(jsonPlan({ type: 'error', error, status: 'failed' }));
      const before = gateway.records.length;
      const answer = await ask(name);
      expect(answer.status).toBe(502);
      const records = (await gateway.recorded(before + 1)).slice(before);
      expect(new Set(records.map(each => each.outcome))).toEqual(new Set(['failed']));
      expect(records.filter(each => (each.costNanoUsd ?? 0n) > 0n)).toEqual([]);
      const said = JSON.parse(answer.body.toString());
      expect((said.error ?? said).message).toEqual(expect.any(String));
      expect(answer.body.toString()).not.toContain('"x"');
    },
  );

  test.each(asEvents.map(({ name }) => name))(
    '[F41] from %s: impossible usage is brought within bounds, and booked as anomalous',
    async name => {
      const { bytes } = recording(name);
      const counts = /"((?:prompt|completion|input|output)_tokens|(?:prompt|candidates)TokenCount)":\d+/g;
      const impossible = bytes.toString().replace(counts, '"$1":-1e18');
      upstream.use([eventStreamHead, { op: 'write', bytes: impossible }]);
      const before = gateway.records.length;
      const answer = await ask(name);
      expect(mistakes(answer.body, 'terminal')).toEqual([]);
      expect(answer.body.toString()).not.toContain('-1');
      const records = await gateway.recorded(before + 1);
      expect(records.at(-1)).toMatchObject({ outcome: 'answered', usageSource: 'anomalous' });
    },
  );
});

/** The index after the first event that ends beyond `from`. */
function endOfEvent(text: string, from: number): number {
  const blank = /\r?\n\r?\n/g;
  blank.lastIndex = from;
  blank.exec(text);
  return blank.lastIndex;
}

function cutOf(name: string, afterBytes: number, how: 'rst' | 'fin'): Plan {
  const { bytes, contentType } = recording(name);
  const cut = bytes.subarray(0, afterBytes);
  return [
    { op: 'headers', headers: { 'content-type': contentType } },
    ...(cut.length > 0 ? [{ op: 'write', bytes: cut } as const] : []),
    { op: how },
  ];
}
