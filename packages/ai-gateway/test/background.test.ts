import { allScopes } from '@strata/shared/identity/scopes.ts';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import OpenAI from 'openai';
import type { Response, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { matrixSection, startMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';
import { post, type RunningGateway, startGateway } from './harness.ts';

/** Answers that are made while nobody waits, by the official SDK, on upstreams that know nothing of it. */

let simulator: Simulator;
let gateway: RunningGateway;
/** Another process on the same store, as far as the gateways can tell. */
let replica: RunningGateway;
let sdk: OpenAI;

const client = (apiKey: string, at: RunningGateway = gateway) =>
  new OpenAI({ baseURL: `${at.url}/v1`, apiKey, maxRetries: 0 });

beforeAll(async () => {
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startMatrixGateway(simulator);
  replica = await startGateway({ section: matrixSection(simulator.url), dataDir: gateway.deps.dataDir });
  sdk = client(gateway.key);
});
afterAll(async () => {
  await replica.close();
  await gateway.close();
  await simulator.close();
});

const isUnderWay = ({ status }: Response) => status === 'queued' || status === 'in_progress';

async function ended(id: string, from: OpenAI = sdk): Promise<Response> {
  await expect
    .poll(async () => isUnderWay(await from.responses.retrieve(id)), { timeout: 20_000 })
    .toBe(false);
  return from.responses.retrieve(id);
}

async function collect(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

const endedAfter = 20_000;

describe.each(upstreams.map(({ name }) => name))('on %s', model => {
  test('create answers at once, and the result can be read, listed and gone on from', async () => {
    const created = await sdk.responses.create({
      model,
      input: '[[say: Made in the background.]] remember 7919',
      background: true,
      metadata: { of: 'ada' },
    });
    expect(created).toMatchObject({ object: 'response', status: 'queued', background: true, output: [] });
    const result = await ended(created.id);
    expect(result).toMatchObject({
      id: created.id,
      status: 'completed',
      background: true,
      error: null,
      created_at: created.created_at,
      metadata: { of: 'ada' },
    });
    expect(result.output_text).toBe('Made in the background.');
    expect(result.usage?.output_tokens).toBeGreaterThan(0);
    expect((await sdk.responses.inputItems.list(created.id)).data).toHaveLength(1);
    const next = await sdk.responses.create({
      model,
      input: '[[say: And on.]]',
      previous_response_id: created.id,
    });
    expect(next.output_text).toBe('And on.');
    expect(simulator.requests.at(-1)?.body.toString()).toContain('remember 7919');
  });

  test('a streamed one is numbered without gaps, and streams again from any event, here and at a replica', async () => {
    const input = '[[tool: get_weather {"city":"Rome"}]]';
    const tools = [{ type: 'function' as const, name: 'get_weather', parameters: {}, strict: false }];
    const live = await collect(
      await sdk.responses.create({ model, input, tools, background: true, stream: true }),
    );
    expect(live.map(event => event.sequence_number)).toEqual(live.map((_, index) => index));
    expect(live.slice(0, 2).map(event => event.type)).toEqual(['response.created', 'response.queued']);
    const last = live.at(-1);
    expect(last).toMatchObject({ type: 'response.completed', response: { status: 'completed' } });
    const id = last?.type === 'response.completed' ? last.response.id : '';
    for (const from of [sdk, client(gateway.key, replica)]) {
      for (const after of [undefined, 0, 1, Math.floor(live.length / 2), live.length - 2, live.length - 1]) {
        const again = await from.responses.retrieve(id, {
          stream: true,
          ...(after !== undefined && { starting_after: after }),
        });
        expect(await collect(again)).toEqual(live.slice(after === undefined ? 0 : after + 1));
      }
    }
    const final = await sdk.responses.stream({ response_id: id, starting_after: 3 }).finalResponse();
    expect(final.output).toMatchObject([{ type: 'function_call', arguments: '{"city":"Rome"}' }]);
    expect((await sdk.responses.retrieve(id)).output).toMatchObject(
      final.output.map(({ type }) => ({ type })),
    );
  });

  test('[AI-4] cancel stops the upstream at once, is settled once, and may be repeated', async () => {
    gateway.records.length = 0;
    const created = await sdk.responses.create({
      model,
      input: `[[words: 200]] [[fault: stall-after-events=12]] ${model}-cancel`,
      background: true,
    });
    const asked = await simulator.until(
      request => request.body.includes(`${model}-cancel`) && request.eventsSent >= 12,
    );
    const cancelled = await sdk.responses.cancel(created.id);
    expect(cancelled).toMatchObject({ id: created.id, status: 'cancelled', background: true });
    await expect.poll(() => asked.outcome, { timeout: endedAfter }).toBe('client-left');
    expect(await sdk.responses.cancel(created.id)).toMatchObject({ status: 'cancelled' });
    expect(await sdk.responses.retrieve(created.id)).toMatchObject({ status: 'cancelled' });
    const records = await gateway.recorded(1);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ outcome: 'cancelled' });
  });

  test('what fails upstream becomes a failed response with a clear error', async () => {
    const created = await sdk.responses.create({
      model,
      input: '[[fault: status=400]]',
      background: true,
    });
    const failed = await ended(created.id);
    expect(failed.status).toBe('failed');
    expect(failed.error?.message).toBeTruthy();
    const cut = await sdk.responses.create({
      model,
      input: '[[words: 50]] [[fault: cut-after-events=14]]',
      background: true,
      stream: true,
    });
    const events = await collect(cut);
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'upstream_reset' } },
    });
  });
});

test('it goes on when its client leaves, and can be followed from where it was left', async () => {
  const created = await sdk.responses.create({
    model: 'openai-chat',
    input: '[[words: 300]]',
    background: true,
    stream: true,
  });
  let id = '';
  let seen = -1;
  for await (const event of created) {
    if (event.type === 'response.created') id = event.response.id;
    seen = event.sequence_number;
    if (seen === 5) break;
  }
  const rest = await collect(await sdk.responses.retrieve(id, { stream: true, starting_after: seen }));
  expect(rest[0]?.sequence_number).toBe(6);
  expect(rest.at(-1)?.type).toBe('response.completed');
  expect((await ended(id)).status).toBe('completed');
});

test('a replica reads, follows and cancels what another process makes', async () => {
  const elsewhere = client(gateway.key, replica);
  const create = async (mark: string) => {
    const created = await sdk.responses.create({
      model: 'anthropic-messages',
      input: `[[words: 200]] [[fault: stall-after-events=12]] ${mark}`,
      background: true,
      stream: true,
    });
    const first = await created[Symbol.asyncIterator]().next();
    if (first.value?.type !== 'response.created') throw new Error('The first event is another.');
    return first.value.response.id;
  };
  const id = await create('followed');
  expect(await elsewhere.responses.retrieve(id)).toMatchObject({ id, background: true });
  const following = collect(await elsewhere.responses.retrieve(id, { stream: true }));
  const asked = await simulator.until(
    ({ body, eventsSent }) => body.includes('followed') && eventsSent >= 12,
  );
  expect(await elsewhere.responses.cancel(id)).toMatchObject({ status: 'cancelled' });
  const events = await following;
  expect(events.map(event => event.sequence_number)).toEqual(events.map((_, index) => index));
  expect(events.at(-1)).toMatchObject({ type: 'response.incomplete', response: { status: 'cancelled' } });
  await expect.poll(() => asked.outcome, { timeout: endedAfter }).toBe('client-left');
  expect(await sdk.responses.retrieve(id)).toMatchObject({ status: 'cancelled' });
  const removed = await create('removed');
  await elsewhere.responses.delete(removed);
  await expect(sdk.responses.retrieve(removed)).rejects.toMatchObject({ status: 404 });
  await expect
    .poll(() => simulator.requests.find(({ body }) => body.includes('removed'))?.outcome, {
      timeout: endedAfter,
    })
    .toBe('client-left');
});

test('[S-1] nobody else reads, follows, cancels or deletes it', async () => {
  const { id } = await sdk.responses.create({ model: 'gemini', input: 'x', background: true });
  const others = [
    await gateway.deps.createKey({ tenant: 'globex', principal: 'user:ada' }),
    await gateway.deps.createKey({ tenant: 'acme', principal: 'user:eve' }),
  ];
  for (const key of others) {
    const { responses } = client(key);
    await expect(responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    await expect(responses.retrieve(id, { stream: true })).rejects.toMatchObject({ status: 404 });
    await expect(responses.cancel(id)).rejects.toMatchObject({ status: 404 });
    await expect(responses.delete(id)).rejects.toMatchObject({ status: 404 });
  }
  expect((await ended(id)).status).toBe('completed');
});

test('what contradicts itself or is no longer there is refused', async () => {
  const create = (more: object) =>
    post(gateway, '/v1/responses', { model: 'openai-chat', input: 'x', background: true, ...more });
  const codeOf = ({ body }: { body: Buffer }) => JSON.parse(body.toString()).error.code as string;
  const unstored = await create({ store: false });
  expect([unstored.status, codeOf(unstored)]).toEqual([400, 'background_unstored']);
  expect((await create({ model: 'nowhere' })).status).toBe(404);
  expect((await create({ input: 7 })).status).toBe(400);
  const { id } = await sdk.responses.create({ model: 'openai-chat', input: 'x', background: true });
  await ended(id);
  for (const query of ['stream=true', 'stream=true&starting_after=-1', 'stream=true&starting_after=x']) {
    const answer = await fetch(`${gateway.url}/v1/responses/${id}?${query}`, {
      headers: { authorization: `Bearer ${gateway.key}` },
    });
    expect(answer.status).toBe(400);
    await answer.text();
  }
  const running = await sdk.responses.create({
    model: 'openai-chat',
    input: '[[fault: hang]]',
    background: true,
  });
  await expect(
    sdk.responses.create({ model: 'openai-chat', input: 'y', previous_response_id: running.id }),
  ).rejects.toMatchObject({ status: 400, code: 'previous_response_unfinished' });
  await sdk.responses.cancel(running.id);
});

test('[A12] what a key has under way ends with it', async () => {
  const made = await gateway.deps.keys.create({
    ...{ name: 'short', tenant: 'acme', principal: 'user:ada', scopes: allScopes },
  });
  const { responses } = client(made.secret.reveal());
  const { id } = await responses.create({
    model: 'openai-chat',
    input: '[[fault: hang]] of a key',
    background: true,
  });
  const asked = await simulator.until(({ body }) => body.includes('of a key'));
  await gateway.deps.keys.disable(made.key.id);
  await expect.poll(() => asked.outcome, { timeout: endedAfter }).toBe('client-left');
  expect(await ended(id)).toMatchObject({ status: 'failed', error: { code: 'key_revoked' } });
});

test('limits hold: answers at once, their size, and those of the key, which refuse at once', async () => {
  const limited = await startGateway({
    section: {
      ...matrixSection(simulator.url),
      conversations: { max_background: 2 },
      max_answer_bytes: 32_768,
    },
    shared: {
      limits: [
        {
          name: 'few',
          tenant: 'acme',
          subject: 'principal:user:few',
          unit: 'requests',
          amount: 1,
          per: 'day',
        },
      ],
    },
  });
  const there = client(limited.key, limited);
  const hanging = { model: 'openai-chat', input: '[[fault: hang]]', background: true };
  const made = [await there.responses.create(hanging), await there.responses.create(hanging)];
  await expect(there.responses.create(hanging)).rejects.toMatchObject({
    status: 429,
    code: 'background_full',
  });
  for (const { id } of made) await there.responses.cancel(id);
  const large = await there.responses.create({ ...hanging, input: '[[words: 3000]]' });
  expect(await ended(large.id, there)).toMatchObject({
    status: 'failed',
    error: { code: 'upstream_answer_too_large' },
  });
  const few = client(await limited.deps.createKey({ tenant: 'acme', principal: 'user:few' }), limited);
  const { id } = await few.responses.create({ ...hanging, input: 'x' });
  expect((await ended(id, few)).status).toBe('completed');
  await expect(few.responses.create(hanging)).rejects.toMatchObject({
    status: 429,
    code: 'rate_limit_exceeded',
  });
  const drained = await there.responses.create(hanging);
  await limited.drain();
  const { response } = (await limited.deps.sql.db
    .selectFrom('stored_responses')
    .select('response')
    .where('id', '=', drained.id)
    .executeTakeFirst()) ?? { response: '{}' };
  expect(JSON.parse(response)).toMatchObject({ status: 'failed', error: { code: 'draining' } });
  await limited.close();
});
