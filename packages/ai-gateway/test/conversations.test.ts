import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { matrixSection, useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';
import { post, startGateway } from './harness.ts';

/** The Conversations API, by the official SDK, on upstreams that keep none. */

const matrix = useMatrixGateway();
let sdk: OpenAI;

const client = (apiKey: string, at = matrix.gateway) =>
  new OpenAI({ baseURL: `${at.url}/v1`, apiKey, maxRetries: 0 });

beforeAll(() => {
  sdk = client(matrix.gateway.key);
});

const lastBody = () => matrix.simulator.requests.at(-1)?.body.toString() ?? '';
const user = (content: string) => ({ type: 'message' as const, role: 'user' as const, content });

async function allItems(id: string, from = sdk) {
  const items = [];
  for await (const item of from.conversations.items.list(id, { order: 'asc', limit: 2 })) items.push(item);
  return items;
}

describe.each(upstreams.map(({ name }) => name))('on %s', model => {
  test('responses go on with a conversation, whole, streamed and in the background', async () => {
    const { id } = await sdk.conversations.create({
      items: [user('remember 7919')],
      metadata: { of: 'ada' },
    });
    const first = await sdk.responses.create({ model, conversation: id, input: '[[say: One.]] first' });
    expect(first.output_text).toBe('One.');
    expect(first.conversation).toEqual({ id });
    expect(lastBody()).toContain('remember 7919');
    const second = await sdk.responses
      .stream({ model, conversation: { id }, input: '[[say: Two.]] second' })
      .finalResponse();
    expect(second.output_text).toBe('Two.');
    expect(second.conversation).toEqual({ id });
    for (const said of ['remember 7919', 'first', 'One.', 'second']) expect(lastBody()).toContain(said);
    const third = await sdk.responses.create({
      model,
      conversation: id,
      input: '[[say: Three.]] third',
      background: true,
    });
    expect(third.conversation).toEqual({ id });
    await expect
      .poll(async () => (await sdk.responses.retrieve(third.id)).status, { timeout: 20_000 })
      .toBe('completed');
    const items = await allItems(id);
    expect(items.map(item => item.type === 'message' && item.role)).toEqual([
      'user',
      ...['user', 'assistant', 'user', 'assistant', 'user', 'assistant'],
    ]);
    expect(JSON.stringify(items.at(-1))).toContain('Three.');
  });

  test('a tool loop goes on in it, and what failed leaves no trace', async () => {
    const tools = [{ type: 'function' as const, name: 'get_weather', parameters: {}, strict: false }];
    const { id } = await sdk.conversations.create();
    const ask = { model, tools, conversation: id };
    const first = await sdk.responses.create({
      ...ask,
      input: '[[tool: get_weather {"city":"Rome"}]] [[say: It is {{result}}.]]',
    });
    const call = first.output.find(item => item.type === 'function_call');
    await expect(sdk.responses.create({ ...ask, input: '[[fault: status=400]]' })).rejects.toMatchObject({
      status: 400,
    });
    const second = await sdk.responses.create({
      ...ask,
      input: [{ type: 'function_call_output', call_id: call?.call_id ?? '', output: 'sunny' }],
    });
    expect(second.output_text).toBe('It is sunny.');
    const types = (await allItems(id)).map(item => item.type).filter(type => type !== 'reasoning');
    expect(types).toEqual(['message', 'message', 'function_call', 'function_call_output', 'message']);
  });
});

test('conversations and their items are made, read, changed, listed in pages and deleted', async () => {
  const { conversations } = sdk;
  const made = await conversations.create({ metadata: { a: '1' } });
  expect(made).toMatchObject({ object: 'conversation', metadata: { a: '1' } });
  expect(await conversations.retrieve(made.id)).toEqual(made);
  expect(await conversations.update(made.id, { metadata: { b: '2' } })).toMatchObject({
    metadata: { b: '2' },
  });
  const added = await conversations.items.create(made.id, {
    items: ['one', 'two', 'three', 'four', 'five'].map(user),
  });
  expect(added.data).toHaveLength(5);
  expect(added.data[0]).toMatchObject({
    ...{ type: 'message', role: 'user', status: 'completed' },
    content: [{ type: 'input_text', text: 'one' }],
  });
  const [first, ...rest] = added.data.map(item => item.id ?? '');
  expect((await allItems(made.id)).map(item => item.id)).toEqual([first, ...rest]);
  const newest = await conversations.items.list(made.id, { limit: 1 });
  expect(newest.data.map(item => item.id)).toEqual(rest.slice(-1));
  expect(newest.has_more).toBe(true);
  expect(await conversations.items.retrieve(first ?? '', { conversation_id: made.id })).toEqual(
    added.data[0],
  );
  await conversations.items.delete(first ?? '', { conversation_id: made.id });
  await expect(conversations.items.retrieve(first ?? '', { conversation_id: made.id })).rejects.toMatchObject(
    {
      status: 404,
    },
  );
  expect((await allItems(made.id)).map(item => item.id)).toEqual(rest);
  expect(await conversations.delete(made.id)).toEqual({
    ...{ id: made.id, object: 'conversation.deleted', deleted: true },
  });
  await expect(conversations.retrieve(made.id)).rejects.toMatchObject({ status: 404 });
  await expect(
    sdk.responses.create({ model: 'gemini', conversation: made.id, input: 'x' }),
  ).rejects.toMatchObject({
    status: 404,
    code: 'conversation_not_found',
  });
});

test.each([[7], [true], [[]], [{}], [{ id: 7 }]])('%j is no id of a conversation', async named => {
  const asked = sdk.responses.create({ model: 'gemini', conversation: named as string, input: 'x' });
  await expect(asked).rejects.toMatchObject({
    status: 400,
    param: 'conversation',
    message: expect.stringContaining('must be the id of a conversation'),
  });
});

test('one response at a time: another one is refused as the vendor does, and the turn is free when its client leaves', async () => {
  const { id } = await sdk.conversations.create();
  const leaving = new AbortController();
  const hanging = sdk.responses.create(
    { model: 'openai-chat', conversation: id, input: '[[fault: hang]] in turn' },
    { signal: leaving.signal },
  );
  await matrix.simulator.until(({ body }) => body.includes('in turn'));
  const locked = { status: 400, code: 'conversation_locked', param: 'conversation' };
  await expect(sdk.responses.create({ model: 'gemini', conversation: id, input: 'x' })).rejects.toMatchObject(
    locked,
  );
  await expect(sdk.conversations.items.create(id, { items: [user('x')] })).rejects.toMatchObject(locked);
  leaving.abort();
  await expect(hanging).rejects.toThrow();
  await expect
    .poll(
      () =>
        sdk.responses
          .create({ model: 'gemini', conversation: id, input: '[[say: Free.]]' })
          .then(({ output_text }) => output_text)
          .catch(({ code }) => code),
      { timeout: 20_000 },
    )
    .toBe('Free.');
  expect(await allItems(id)).toHaveLength(2);
});

test('a conversation grows also by what is not stored, and its prompt can be counted', async () => {
  const { id } = await sdk.conversations.create({ items: [user('a long story '.repeat(50))] });
  const response = await sdk.responses.create({
    model: 'gemini',
    conversation: id,
    input: 'x',
    store: false,
  });
  await expect(sdk.responses.retrieve(response.id)).rejects.toMatchObject({ status: 404 });
  expect(await allItems(id)).toHaveLength(3);
  const counted = await sdk.responses.inputTokens.count({ model: 'gemini', conversation: id, input: 'x' });
  expect(counted.input_tokens).toBeGreaterThan(100);
});

test('[S-1] nobody else reads, changes, goes on with or deletes it', async () => {
  const { id } = await sdk.conversations.create({ items: [user('a secret')] });
  const [item] = await allItems(id);
  const others = [
    await matrix.gateway.deps.createKey({ tenant: 'globex', principal: 'user:ada' }),
    await matrix.gateway.deps.createKey({ tenant: 'acme', principal: 'user:eve' }),
  ];
  for (const key of others) {
    const { conversations, responses } = client(key);
    const unknown = { status: 404 };
    await expect(conversations.retrieve(id)).rejects.toMatchObject(unknown);
    await expect(conversations.update(id, { metadata: {} })).rejects.toMatchObject(unknown);
    await expect(conversations.delete(id)).rejects.toMatchObject(unknown);
    await expect(conversations.items.list(id)).rejects.toMatchObject(unknown);
    await expect(conversations.items.create(id, { items: [user('x')] })).rejects.toMatchObject(unknown);
    const named = { conversation_id: id };
    await expect(conversations.items.retrieve(item?.id ?? '', named)).rejects.toMatchObject(unknown);
    await expect(conversations.items.delete(item?.id ?? '', named)).rejects.toMatchObject(unknown);
    await expect(responses.create({ model: 'gemini', conversation: id, input: 'x' })).rejects.toMatchObject(
      unknown,
    );
  }
  expect(await allItems(id)).toHaveLength(1);
});

test.each<[string, string, object, string]>([
  [
    'both ways to go on',
    '/v1/responses',
    { conversation: 'c', previous_response_id: 'r' },
    'mutually_exclusive_parameters',
  ],
  ['items that are none', '/v1/conversations', { items: [7] }, 'conversation_items_invalid'],
  ['too many items', '/v1/conversations', { items: Array(21).fill(user('x')) }, 'conversation_items_invalid'],
  [
    'metadata that is no text',
    '/v1/conversations',
    { metadata: { a: { toString: null } } },
    'metadata_invalid',
  ],
  ['too much metadata', '/v1/conversations', { metadata: { a: 'x'.repeat(513) } }, 'metadata_invalid'],
])('%s: refused', async (_name, path, more, code) => {
  const body = path === '/v1/responses' ? { model: 'gemini', input: 'x', ...more } : more;
  const answer = await post(matrix.gateway, path, body);
  expect([answer.status, JSON.parse(answer.body.toString()).error.code]).toEqual([400, code]);
});

test('no more conversations than are allowed', async () => {
  const small = await startGateway({
    section: { ...matrixSection(matrix.simulator.url), conversations: { max_conversations: 1 } },
  });
  const there = client(small.key, small);
  const { id } = await there.conversations.create();
  await expect(there.conversations.create()).rejects.toMatchObject({
    status: 429,
    code: 'conversations_full',
  });
  await there.conversations.delete(id);
  await there.conversations.create();
  await small.close();
});
