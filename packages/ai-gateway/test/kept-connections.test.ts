import { once } from 'node:events';
import type { Plan, RequestFacts } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { seededRandom } from '@strata/shared/testing/seeded-random.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { RawClient } from './raw-client.ts';

/** Connections that are used again, on both sides of the gateway, while one side goes (F45). */

let upstream: FakeUpstream;
let gateway: RunningGateway;

beforeEach(async () => {
  upstream = await startFakeUpstream({ plan: [] });
  gateway = await startGateway({
    section: sectionFor({ openai: upstream.url }),
    shared: { network: { max_connections_per_origin: 4 } },
  });
});
afterEach(async () => {
  await gateway.close();
  await upstream.close();
});

const asking = (marker: string, more: object = {}) =>
  chatRequest({ messages: [{ role: 'user', content: marker }], ...more });
const askedOf = (request: RequestFacts) =>
  (request.json() as { messages: [{ content: string }] }).messages[0].content; // what `asking` wrote
const answerOf = (marker: string) => ({
  id: 'c',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: marker }, finish_reason: 'stop' }],
});
const contentOf = (body: Buffer) =>
  (JSON.parse(body.toString()) as ReturnType<typeof answerOf>).choices[0]?.message.content;

test('[F45] an upstream that closes each connection after its answer, without a word: every request is answered, and by its own', async () => {
  upstream.use(request => [...jsonPlan(answerOf(askedOf(request))), { op: 'fin' }]);
  for (let index = 0; index < 60; index++) {
    const answer = await post(gateway, '/v1/chat/completions', asking(`m${index}`));
    expect([answer.status, contentOf(answer.body)]).toEqual([200, `m${index}`]);
  }
});

test('[F45] an upstream that breaks each kept connection as it is used: asked again at once, and its circuit stays closed', async () => {
  const served = new Set<number>();
  upstream.use(request => {
    if (served.has(request.connectionId)) return [{ op: 'rst' }];
    served.add(request.connectionId);
    return jsonPlan(answerOf(askedOf(request)));
  });
  const attempts: unknown[] = [];
  for (let index = 0; index < 30; index++) {
    const answer = await post(gateway, '/v1/chat/completions', asking(`m${index}`));
    expect([answer.status, contentOf(answer.body)]).toEqual([200, `m${index}`]);
    attempts.push(answer.headers['x-strata-attempts']);
  }
  expect(attempts).toContain('2');
  const failures = gateway.records.flatMap(({ failure }) => failure ?? []);
  expect(new Set(failures)).toEqual(new Set(['connection-closed']));
});

test('[F45] [S-1] clients that leave in the middle of answers over a few shared connections: whoever stays gets its own', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  upstream.use(request => {
    const isStream = (request.json() as { stream?: boolean }).stream === true;
    return isStream ? streamOf(askedOf(request)) : jsonPlan(answerOf(askedOf(request)));
  });
  const ask = async (index: number, leaves: boolean) => {
    const marker = `<${index}>`;
    const client = new RawClient(gateway);
    client.send(asking(marker, { stream: true }));
    if (leaves) {
      await client.until(`${marker} ${Math.floor(random() * 10)}`);
      client.socket.resetAndDestroy();
      return;
    }
    await client.until('[DONE]');
    // The next one on the same connection is a request like any other.
    client.send(asking(marker));
    await client.until('"object":"chat.completion",');
    client.socket.destroy();
    await once(client.socket, 'close');
    const others = client.text.match(/<\d+>/g)?.filter(each => each !== marker);
    expect(others, `seed ${seed}`).toEqual([]);
    expect(client.text.split(marker)).toHaveLength(12);
  };
  await Promise.all(Array.from({ length: 60 }, (_, index) => ask(index, index % 2 === 0)));
});

/** Ten events, one after the other. */
function streamOf(marker: string): Plan {
  const deltas = Array.from({ length: 10 }, (_, index): Plan[number][] => [
    {
      op: 'event',
      event: JSON.stringify({ choices: [{ index: 0, delta: { content: `${marker} ${index}` } }] }),
    },
    { op: 'stall', ms: 2 },
  ]);
  return [eventStreamHead, ...deltas.flat(), { op: 'event', event: '[DONE]' }];
}

test('[F45] requests in a row on one connection, of which the client breaks off the first: the upstream is told, and nobody gets the rest', async () => {
  upstream.use([eventStreamHead, { op: 'stall' }]);
  const client = new RawClient(gateway);
  client.send(asking('first', { stream: true }));
  client.send(asking('second'));
  await upstream.requestReceived(1);
  const closed = once(client.socket, 'close');
  client.socket.resetAndDestroy();
  await upstream.closed(1);
  await closed;
  await upstream.allConnectionsClosed();
  const asked = upstream.requests.length;
  await gateway.recorded(asked);
  expect(gateway.records.map(({ outcome }) => outcome)).toEqual(Array(asked).fill('cancelled'));
  upstream.use(request => jsonPlan(answerOf(askedOf(request))));
  const answer = await post(gateway, '/v1/chat/completions', asking('after'));
  expect(contentOf(answer.body)).toBe('after');
});
