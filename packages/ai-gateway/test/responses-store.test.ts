import OpenAI from 'openai';
import { beforeAll, describe, expect, test } from 'vitest';
import { useMatrixGateway } from './conformance/matrix-gateway.ts';
import { upstreams } from './conformance/upstreams.ts';

/** Conversations that the gateway keeps, by the official SDK, on upstreams that keep none. */

const matrix = useMatrixGateway();
let sdk: OpenAI;

const client = (apiKey: string) => new OpenAI({ baseURL: `${matrix.gateway.url}/v1`, apiKey, maxRetries: 0 });

beforeAll(() => {
  sdk = client(matrix.gateway.key);
});

const lastBody = () => matrix.simulator.requests.at(-1)?.body.toString() ?? '';

describe.each(upstreams.map(({ name }) => name))('on %s', model => {
  test('previous_response_id brings everything back, streamed and whole', async () => {
    const first = await sdk.responses.create({ model, input: '[[say: One.]] remember 7919' });
    const second = await sdk.responses
      .stream({ model, input: '[[say: Two.]]', previous_response_id: first.id })
      .finalResponse();
    expect(second.output_text).toBe('Two.');
    expect(lastBody()).toContain('remember 7919');
    expect(lastBody()).toContain('One.');
    const third = await sdk.responses.create({
      model,
      input: '[[say: Three.]]',
      previous_response_id: second.id,
    });
    expect(third.output_text).toBe('Three.');
    expect(lastBody()).toContain('Two.');
    expect(await sdk.responses.retrieve(third.id)).toMatchObject({ id: third.id, status: 'completed' });
  });

  test('a tool loop goes on by id alone', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } } };
    const tools = [{ type: 'function' as const, name: 'get_weather', parameters: schema, strict: false }];
    const first = await sdk.responses.create({
      model,
      tools,
      input: '[[tool: get_weather {"city":"Rome"}]] [[say: It is {{result}}.]]',
    });
    const call = first.output.find(item => item.type === 'function_call');
    const second = await sdk.responses.create({
      model,
      tools,
      previous_response_id: first.id,
      input: [{ type: 'function_call_output', call_id: call?.call_id ?? '', output: 'sunny' }],
    });
    expect(second.output_text).toBe('It is sunny.');
  });

  test('input items are listed, and what is deleted is gone', async () => {
    const { id } = await sdk.responses.create({ model, input: 'hello' });
    const items = await sdk.responses.inputItems.list(id);
    expect(items.data).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hello' }] },
    ]);
    await sdk.responses.delete(id);
    await expect(sdk.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    await expect(sdk.responses.create({ model, input: 'x', previous_response_id: id })).rejects.toMatchObject(
      {
        status: 404,
        code: 'previous_response_not_found',
      },
    );
  });
});

test.each<[unknown]>([[7], [{}], [[]], [true], [{ toString: null }]])(
  'a previous_response_id of %j is no id',
  async id => {
    const body = { model: 'openai-chat', input: 'x', previous_response_id: id as unknown as string };
    await expect(sdk.responses.create(body)).rejects.toMatchObject({
      status: 400,
      param: 'previous_response_id',
    });
  },
);

test('[S-1] nobody else gets an answer by its id', async () => {
  const { id } = await sdk.responses.create({ model: 'openai-chat', input: 'a secret' });
  const others = [
    await matrix.gateway.deps.createKey({ tenant: 'globex', principal: 'user:ada' }),
    await matrix.gateway.deps.createKey({ tenant: 'acme', principal: 'user:eve' }),
  ];
  for (const key of others) {
    const other = client(key);
    await expect(other.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    await expect(other.responses.inputItems.list(id)).rejects.toMatchObject({ status: 404 });
    await expect(other.responses.delete(id)).rejects.toMatchObject({ status: 404 });
    const go = other.responses.create({ model: 'openai-chat', input: 'x', previous_response_id: id });
    await expect(go).rejects.toMatchObject({ status: 404 });
  }
  expect(await sdk.responses.retrieve(id)).toMatchObject({ id });
});

test('store: false keeps nothing; what was not made in the background cannot be cancelled', async () => {
  const { id } = await sdk.responses.create({ model: 'anthropic-messages', input: 'x', store: false });
  await expect(sdk.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
  const kept = await sdk.responses.create({ model: 'anthropic-messages', input: 'x' });
  await expect(sdk.responses.cancel(kept.id)).rejects.toMatchObject({ status: 400 });
});

test.each(['openai-responses', 'anthropic-messages'])(
  'on %s an answer says what it goes on from',
  async model => {
    const first = await sdk.responses.create({ model, input: 'x' });
    const second = await sdk.responses.create({ model, input: 'y', previous_response_id: first.id });
    expect(second.previous_response_id).toBe(first.id);
    const third = await sdk.responses
      .stream({ model, input: 'z', previous_response_id: second.id })
      .finalResponse();
    expect(third.previous_response_id).toBe(second.id);
  },
);

describe.each(upstreams.filter(({ name }) => name !== 'openai-responses').map(({ name }) => name))(
  'on %s',
  model => {
    const tools = [
      {
        type: 'function' as const,
        name: 'get_weather',
        strict: false,
        parameters: { type: 'object', properties: { city: { type: 'string' } } },
      },
    ];
    const asked = {
      role: 'user' as const,
      content: '[[think: Hm.]][[tool: get_weather {"city":"Oslo"}]][[say: It is {{result}}.]]',
    };
    const reference = ({ id }: { id?: string | null }) => ({
      type: 'item_reference' as const,
      id: id ?? expect.fail(),
    });

    test('items of an answer may come back as references, also of one in the background', async () => {
      for (const background of [false, true]) {
        const made = await sdk.responses.create({
          model: `${model}-thinking`,
          input: [asked],
          tools,
          background,
        });
        const first = await finished(made);
        const call = first.output.find(item => item.type === 'function_call') ?? expect.fail();
        const second = await sdk.responses.create({
          model: `${model}-thinking`,
          input: [
            asked,
            ...first.output.map(reference),
            { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
          ],
          tools,
        });
        expect(second.output_text).toBe('It is sunny.');
      }
    });
  },
);

async function finished(response: OpenAI.Responses.Response): Promise<OpenAI.Responses.Response> {
  const read = () => sdk.responses.retrieve(response.id);
  await expect.poll(async () => (await read()).status, { timeout: 20_000 }).toBe('completed');
  return read();
}

test('[S-1] a reference to an item of somebody else, or of nobody, is not found', async () => {
  const { output } = await sdk.responses.create({ model: 'anthropic-messages', input: 'a secret' });
  const eve = client(await matrix.gateway.deps.createKey({ tenant: 'acme', principal: 'user:eve' }));
  const id = output[0]?.id ?? expect.fail();
  const ask = (by: OpenAI, name: string) =>
    by.responses.create({ model: 'anthropic-messages', input: [{ type: 'item_reference', id: name }] });
  for (const asking of [ask(eve, id), ask(sdk, 'msg_req_0000_0'), ask(sdk, id.replace(/_\d+$/, '_77'))])
    await expect(asking).rejects.toMatchObject({ status: 404, code: 'referenced_item_not_found' });
  expect((await ask(sdk, id)).output_text).not.toBe('');
});
