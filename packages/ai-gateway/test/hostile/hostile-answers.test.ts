import { AwsEventReader, formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import { jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { matrixSection } from '../conformance/matrix-gateway.ts';
import { eventsOf, type RecordedStream, recordStreams } from '../conformance/record-streams.ts';
import { type Ingress, ingresses, wholeOf } from '../conformance/requests.ts';
import { upstreams } from '../conformance/upstreams.ts';
import { mistakesIn } from '../conformance/well-formed.ts';
import { post, type RunningGateway, startGateway } from '../harness.ts';
import { richAnswers } from './answers.ts';
import { spoiled } from './values.ts';

/** Any JSON value at any place of an upstream's answer or event: an answer or an error in the client's protocol, and every stream ends properly. */

/** What the gateway says when something in it threw that should not have. */
const ownFailure = 'Internal error';
const prompt = '[[think: Grüße 世界.]][[tools: get_weather {"city":"Rome"} ; get_weather {"city":"Oslo"}]]';
const numRuns = sized({ ci: 25, soak: 1000 });

let upstream: FakeUpstream;
let gateway: RunningGateway;
let recordings: ReadonlyMap<string, RecordedStream>;

beforeAll(async () => {
  recordings = await recordStreams(prompt);
  upstream = await startFakeUpstream({ plan: [] });
  gateway = await startGateway({ section: matrixSection(upstream.url) });
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

/** What an event holds, and how one that holds something else is written. */
interface Event {
  readonly data: unknown;
  write(data: unknown): Buffer;
}

function jsonEvents(recording: RecordedStream): Event[] {
  return eventsOf(recording).map(bytes => {
    if (!recording.contentType.startsWith('text/event-stream')) return awsEvent(bytes);
    const text = bytes.toString();
    const [, head = '', data = ''] = /^([\s\S]*?data: ?)([\s\S]*?)\r?\n/.exec(text) ?? [];
    if (!data.startsWith('{')) return { data: undefined, write: () => bytes };
    return {
      data: JSON.parse(data) as unknown,
      write: value => Buffer.from(`${head}${JSON.stringify(value)}\n\n`),
    };
  });
}

function awsEvent(bytes: Buffer): Event {
  const [event = expect.fail()] = new AwsEventReader().push(bytes);
  return {
    data: JSON.parse(event.payload.toString()) as unknown,
    write: payload =>
      formatAwsEvent({ messageType: 'event', type: event.type, payload: payload as Record<string, unknown> }), // as an upstream that errs would
  };
}

/** A stream of which one event holds something else. */
function spoiledStream(recording: RecordedStream): fc.Arbitrary<Buffer> {
  const events = jsonEvents(recording);
  const indexes = events.flatMap(({ data }, index) => (data === undefined ? [] : [index]));
  return fc
    .constantFrom(...indexes)
    .chain(at =>
      spoiled(events[at]?.data).map(data =>
        Buffer.concat(events.map((event, index) => event.write(index === at ? data : event.data))),
      ),
    );
}

describe.each(ingresses.map(each => [each.name, each] as const))('%s', (name, ingress) => {
  const mistakes = mistakesIn[name] ?? expect.fail();

  test.each(upstreams.map(each => each.name))('a stream from %s', async from => {
    const recording = recordings.get(from) ?? expect.fail();
    await fc.assert(
      fc.asyncProperty(spoiledStream(recording), async bytes => {
        upstream.use([
          { op: 'headers', headers: { 'content-type': recording.contentType } },
          { op: 'write', bytes },
        ]);
        const answer = await post(gateway, ingress.path(from), ingress.body(from, 'x'));
        expect(answer.isComplete).toBe(true);
        expect(answer.body.toString()).not.toContain(ownFailure);
        if (answer.status !== 200) {
          requireError(ingress, answer);
          return;
        }
        if (ingress.protocol === from) {
          expect(hasEnd(ingress, answer.body), answer.body.toString()).toBe(true); // bytes that pass say what the upstream said
          return;
        }
        const [asEnd, asError] = [mistakes(answer.body, 'terminal'), mistakes(answer.body, 'error')];
        expect(asEnd.length === 0 || asError.length === 0, `${asEnd} or ${asError}: ${answer.body}`).toBe(
          true,
        );
      }),
      { numRuns },
    );
  });
});

const wholes = ingresses.filter(({ name }) => name !== 'gemini as a JSON array').map(wholeOf);

describe.each(wholes.map(each => [each.name, each] as const))('%s, whole', (_name, ingress) => {
  test.each(upstreams.map(each => each.name))('an answer from %s', async from => {
    await fc.assert(
      fc.asyncProperty(spoiled(richAnswers[from]), async answered => {
        upstream.use(jsonPlan(answered));
        const answer = await post(gateway, ingress.path(from), ingress.body(from, 'x'));
        expect(answer.isComplete).toBe(true);
        expect(answer.body.toString()).not.toContain(ownFailure);
        if (answer.status !== 200) requireError(ingress, answer);
        else expect(() => JSON.parse(answer.body.toString())).not.toThrow();
      }),
      { numRuns },
    );
  });
});

test('after all that a good answer is one', async () => {
  upstream.use(jsonPlan(richAnswers['openai-chat']));
  const [ingress = expect.fail()] = wholes;
  const answer = await post(gateway, ingress.path('openai-chat'), ingress.body('openai-chat', 'x'));
  expect(answer.status).toBe(200);
  expect(
    gateway.records.filter(
      ({ usage }) => usage !== undefined && Object.values(usage).some(each => !(each >= 0)),
    ),
  ).toEqual([]);
});

/** Never the gateway's own failure, and in the shape of the protocol. */
function requireError({ protocol }: Ingress, { status, body }: { status: number; body: Buffer }): void {
  expect(status, body.toString()).not.toBe(500);
  const said = JSON.parse(body.toString()) as Record<string, unknown> | [Record<string, unknown>];
  const { error, message } = Array.isArray(said) ? said[0] : said;
  if (protocol === 'bedrock-converse') expect(message).toEqual(expect.any(String));
  else expect(error).toMatchObject({ message: expect.any(String) });
}

/** Whether bytes that passed end in the protocol's own last event, or in an error. */
function hasEnd({ protocol }: Ingress, bytes: Buffer): boolean {
  const text = bytes.toString();
  switch (protocol) {
    case 'openai-chat':
      return text.endsWith('data: [DONE]\n\n') || /data: \{"error"/.test(text);
    case 'openai-responses':
      return /"type":"(response\.(completed|incomplete|failed)|error)"/.test(text);
    case 'anthropic-messages':
      return /"type":"(message_stop|error)"|event: message_stop/.test(text);
    case 'gemini':
      return /"finishReason"|"error"|"blockReason"/.test(text);
    default:
      return /messageStop|exception/.test(text);
  }
}
