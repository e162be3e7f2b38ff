import { setTimeout as sleep } from 'node:timers/promises';
import { SseReader } from '@strata/shared/http/sse.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

interface Seen {
  readonly id: number;
  readonly type: string | undefined;
}

/** Reads events of a run until `enough` says so or the stream ends. */
async function read(
  id: string,
  options: { lastEventId?: number; enough?: (seen: Seen[]) => boolean; key?: string } = {},
): Promise<Seen[]> {
  const controller = new AbortController();
  const response = await fetch(`${gateway.url}/v1/runs/${id}/events`, {
    signal: controller.signal,
    headers: {
      authorization: `Bearer ${options.key ?? gateway.deps.userKey}`,
      ...(options.lastEventId !== undefined && { 'last-event-id': String(options.lastEventId) }),
    },
  });
  if (response.status !== 200) return [{ id: response.status, type: 'status' }];
  const reader = new SseReader();
  const seen: Seen[] = [];
  for await (const chunk of response.body ?? []) {
    for (const event of reader.push(chunk)) seen.push({ id: Number(event.id), type: event.event });
    if (options.enough?.(seen)) break;
  }
  controller.abort();
  return seen;
}

const slow = definitionOf(
  Array.from({ length: 12 }, (_, index) => ({
    [`step${index}`]: index % 2 === 0 ? { set: { index } } : { wait: { milliseconds: 15 } },
  })),
);

async function submit(definition: unknown): Promise<string> {
  const { body } = await gateway.call('POST', '/v1/runs', { body: { definition } });
  return body.id as string;
}

test('[AG-5] a client that is cut off again and again sees every event once, in order, and the end', async () => {
  const id = await submit(slow);
  const all: Seen[] = [];
  while (all.at(-1)?.type !== 'run-completed') {
    const lastEventId = all.at(-1)?.id;
    const wanted = 1 + Math.floor(Math.random() * 4);
    all.push(
      ...(
        await read(id, {
          ...(lastEventId !== undefined && { lastEventId }),
          enough: seen => seen.length >= wanted,
        })
      ).slice(0, wanted),
    );
  }
  expect(all.map(each => each.id)).toEqual(Array.from({ length: all.length }, (_, index) => index + 1));
  const { body } = await gateway.call('GET', `/v1/runs/${id}`);
  expect(body.events).toBe(all.length);
});

test('after the end the whole stream is still there, and a client that has it all is told not to come back', async () => {
  const id = await submit(slow);
  const live = await read(id);
  expect(await read(id)).toEqual(live);
  expect(await read(id, { lastEventId: live.length })).toEqual([{ id: 204, type: 'status' }]);
});

test('[S-2] a run of another tenant and one that does not exist get the same answer, on every route', async () => {
  const id = await submit(definitionOf([{ a: { set: { x: 1 } } }]));
  const stranger = await gateway.deps.createKey({ tenant: 'other', principal: 'mallory' });
  const absent = 'run_00000000000000000000000000';
  const routes = (run: string): [string, string][] => [
    ['GET', `/v1/runs/${run}`],
    ['GET', `/v1/runs/${run}/events`],
    ['POST', `/v1/runs/${run}:cancel`],
    ['POST', `/v1/runs/${run}:resolve`],
  ];
  for (const [index, [method, path]] of routes(id).entries()) {
    const options = { key: stranger, ...(method === 'POST' && { body: {} }) };
    const foreign = await gateway.call(method, path, options);
    const [, absentPath = ''] = routes(absent)[index] ?? [];
    const missing = await gateway.call(method, absentPath, options);
    const without = (answer: { body: unknown }) =>
      JSON.stringify(answer.body)
        .replace(/req_\w+/g, '')
        .replaceAll(id, '')
        .replaceAll(absent, '');
    expect([path, foreign.status, without(foreign)]).toEqual([path, missing.status, without(missing)]);
    expect(foreign.status).toBeGreaterThanOrEqual(400);
  }
});

test('a cancelled run ends, says so, and a second cancel is refused', async () => {
  const id = await submit(definitionOf([{ long: { wait: { seconds: 3600 } } }]));
  const cancelled = await gateway.call('POST', `/v1/runs/${id}:cancel`, { body: {} });
  expect(cancelled.status).toBeLessThan(300);
  for (let tries = 0; tries < 200; tries++) {
    const { body } = await gateway.call('GET', `/v1/runs/${id}`);
    if (body.status === 'cancelled') break;
    await sleep(10);
  }
  expect((await gateway.call('GET', `/v1/runs/${id}`)).body.status).toBe('cancelled');
  expect((await gateway.call('POST', `/v1/runs/${id}:cancel`, { body: {} })).body.reason).toBe(
    'run_has_ended',
  );
});

test('a submission repeated under its key is the same run; another submission under that key is refused', async () => {
  const definition = definitionOf([{ a: { set: { x: 1 } } }]);
  const send = (input: object) =>
    gateway.call('POST', '/v1/runs?wait=5', {
      body: { definition, input },
      headers: { 'idempotency-key': 'k-1' },
    });
  const [first, second] = [await send({ n: 1 }), await send({ n: 1 })];
  expect(second.body.id).toBe(first.body.id);
  expect((await send({ n: 2 })).body).toMatchObject({ status: 409, reason: 'idempotency_key_reused' });
});

test('a client that wants only some types is not called back for those that it does not want', async () => {
  const id = await submit(slow);
  const url = `${gateway.url}/v1/runs/${id}/events?types=task-f*,run-created`;
  const headers = { authorization: `Bearer ${gateway.deps.userKey}` };
  const text = await (await fetch(url, { headers })).text();
  expect(text.match(/^event: .*$/gm)).toEqual(['event: run-created']);
  const position = /id: (\d+)\n\n$/.exec(text)?.[1] ?? '';
  const again = await fetch(url, { headers: { ...headers, 'last-event-id': position } });
  expect(again.status).toBe(204);
});

test('a value that is kept beside the records is whole in the stream, and in a fork', async () => {
  const text = 'x'.repeat(60_000);
  const tasks = [
    { keep: { set: { text: '${ .text + "y" }' } } },
    { count: { set: { length: '${ .text | length }' } } },
  ];
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf(tasks), input: { text } },
  });
  expect(body).toMatchObject({ status: 'completed', output: { length: 60_001 } });
  const stream = await gateway.call('GET', `/v1/runs/${body.id}/events?types=task-completed`);
  expect(String(stream.body)).toContain(`"output":{"text":"${text}y"}`);
  const forked = await gateway.call('POST', `/v1/runs/${body.id}:fork`, { body: { task: '/do/1/count' } });
  expect(forked.status, JSON.stringify(forked.body).slice(0, 300)).toBeLessThan(300);
  const seen = await read(forked.body.id);
  expect(seen.at(-1)?.type).toBe('run-completed');
  const { body: copy } = await gateway.call('GET', `/v1/runs/${forked.body.id}`);
  expect(copy).toMatchObject({ input: { text }, output: { length: 60_001 } });
});
