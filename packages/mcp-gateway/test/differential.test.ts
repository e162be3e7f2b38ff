import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { eventsOf, openRawClient, resultText, until } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/**
 * What the official suites leave out, each done twice: at the server itself and through the gateway. What comes back must be the
 * same, but for what a gateway is there to change.
 */
let server: EverythingServer;
let gateway: TestGateway;

beforeAll(async () => {
  server = await startEverythingServer('legacy');
  const it = { type: 'streamable-http', url: server.url, allow_private: true, names: 'plain' };
  gateway = await startGateway({
    servers: { it },
    streams: { stream_after_ms: 0 },
    list_changed_debounce_ms: 5,
  });
});

afterAll(async () => {
  await gateway?.close();
  await server?.close();
});

const capabilities = { sampling: {}, elicitation: {}, roots: {} };
/** The server itself, as if it were a gateway: it looks at no key. */
const direct = (): TestGateway => ({ ...gateway, url: new URL(server.url), userKey: 'none' });

/** Does the same at both places. */
async function both<Result>(act: (place: TestGateway) => Promise<Result>): Promise<[Result, Result]> {
  return [await act(direct()), await act(gateway)];
}

async function messages(place: TestGateway, bodies: readonly string[]): Promise<unknown[]> {
  const client = await openRawClient(place, { capabilities });
  const answers: unknown[] = [];
  for (const body of bodies) answers.push((await client.ask(body)).map(message => JSON.parse(message)));
  await client.end();
  return answers;
}

const call = (id: string, name: string, more = '') =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}","arguments":{}${more}}}`;

test('[errors] and results of every kind are the server’s own', async () => {
  const bodies = [
    call('1', 'test_simple_text'),
    call('2', 'test_error_handling'),
    call('3', 'test_multiple_content_types'),
    '{"jsonrpc":"2.0","id":4,"method":"prompts/get","params":{"name":"test_prompt_with_arguments","arguments":{"arg1":"a","arg2":"ü"}}}',
    '{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"test://template/7/data"}}',
    '{"jsonrpc":"2.0","id":6,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"test_prompt_with_arguments"},"argument":{"name":"arg1","value":"p"}}}',
  ];
  const [expected, found] = await both(place => messages(place, bodies));
  expect(found).toEqual(expected);
});

test('[JSON-RPC ids] odd ids come back as the server itself gives them back', async () => {
  const bodies = ['0', '-1', '"0"', '""', '"ü\\u0000"', '9007199254740991'].map(id =>
    call(id, 'test_simple_text'),
  );
  const [expected, found] = await both(place => messages(place, bodies));
  expect(found).toEqual(expected);
});

test('[progressToken] notifications come in the same order, under the same token, before the answer', async () => {
  const bodies = ['"t"', '7'].map(token =>
    call('1', 'test_tool_with_progress', `,"_meta":{"progressToken":${token}}`),
  );
  const [expected, found] = await both(place => messages(place, bodies));
  expect(found).toEqual(expected);
});

test('[capabilities] are no more and no less than the server has', async () => {
  const [expected, found] = await both(openHello);
  expect(found).toEqual(expected);
});

/** The capabilities in the answer to `initialize`, whether it comes as JSON or as a stream. */
async function openHello(place: TestGateway): Promise<unknown> {
  const response = await fetch(place.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${place.userKey}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}',
  });
  const text = await response.text();
  const data = text.startsWith('{') ? text : (/^data: (\{.*)$/m.exec(text)?.[1] ?? '{}');
  return (JSON.parse(data) as { result: { capabilities: unknown } }).result.capabilities;
}

test('[list_changed] and [resources/subscribe ↔ listen]: the stream of a session says what the server’s says', async () => {
  const [expected, found] = await both(async place => {
    const client = await openRawClient(place, { capabilities });
    await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
    await client.ask(
      '{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"test://watched-resource"}}',
    );
    const stop = new AbortController();
    const heard: unknown[] = [];
    const reading = (async () => {
      for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) {
        if (data !== '') heard.push(JSON.parse(data));
      }
    })();
    reading.catch(() => {}); // ends with the test
    await client.call('3', 'test_trigger_resource_update');
    await until(() => heard.length >= 1, 'the update');
    await client.call('4', 'test_trigger_tool_change');
    await until(() => heard.length >= 2, 'the change');
    stop.abort();
    return heard;
  });
  expect(found).toEqual(expected);
});

test('[cancellation] a cancelled call ends at the server', async () => {
  const [expected, found] = await both(async place => {
    const client = await openRawClient(place, { capabilities });
    const before = server.shared.cancelled.length;
    const requests = server.requests.length;
    const leaving = new AbortController();
    const sent = client.post(call('"n"', 'test_never'), { signal: leaving.signal });
    sent.catch(() => {}); // the server itself never answers it
    await until(() => server.requests.slice(requests).includes('tools/call'), 'the call');
    await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"n"}}');
    await until(() => server.shared.cancelled.length > before, 'the end');
    leaving.abort();
    return server.shared.cancelled.length - before;
  });
  expect(found).toBe(expected);
});

test('[reverse ids] questions of two calls at once come back to the call that asked', async () => {
  const client = await openRawClient(gateway, { capabilities });
  const one = async (message: string) => {
    const response = await client.post(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"test_elicitation","arguments":{"message":"${message}"}}}`,
    );
    let last = '';
    for await (const { data } of eventsOf(response)) {
      if (data === '') continue;
      last = data;
      const { id, method, params } = JSON.parse(data);
      if (method !== 'elicitation/create') continue;
      const content = { username: params.message, email: 'a@b.c' };
      await client.post(JSON.stringify({ jsonrpc: '2.0', id, result: { action: 'accept', content } }));
    }
    return resultText(last);
  };
  const names = Array.from({ length: 10 }, (_, index) => `n${index}`);
  const answers = await Promise.all(names.map(one));
  for (const [index, answer] of answers.entries()) expect(answer).toContain(`"username":"n${index}"`);
});
