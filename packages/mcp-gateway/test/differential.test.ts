import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { startPagedServer } from './fixtures/paged-server.ts';
import { expectInPage } from './matrix.ts';
import { createModernClient } from './modern-client.ts';
import { eventsOf, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/**
 * What the official suites leave out, each done twice: at the server itself and through the gateway. What comes back must be the
 * same, but for what a gateway is there to change.
 */
let server: EverythingServer;
let paged: Awaited<ReturnType<typeof startPagedServer>>;
let gateway: TestGateway;
/** A gateway with two servers behind it, under their prefixes, and with small pages. */
let two: TestGateway;
const table: string[][] = [['What', 'Compared']];

/** A test whose success is a line of the page. */
function compare(name: string, what: string, act: () => Promise<void>): void {
  test(name, async () => {
    await act();
    table.push([/^\[([^\]]+)\]/.exec(name)?.[1] ?? name, what]);
  });
}

beforeAll(async () => {
  server = await startEverythingServer('legacy');
  const it = { type: 'streamable-http', url: server.url, allow_private: true, names: 'plain' };
  gateway = await startGateway({
    servers: { it },
    streams: { stream_after_ms: 0 },
    list_changed_debounce_ms: 5,
  });
  paged = await startPagedServer();
  const scripted = { type: 'stdio', command: [node, fixture('scripted-server.ts')] };
  two = await startGateway({
    servers: {
      a: { ...it, names: 'prefixed' },
      b: { ...it, url: paged.url, names: 'prefixed' },
      c: scripted,
      d: scripted,
    },
    streams: { stream_after_ms: 0 },
    list_page_size: 5,
  });
});

afterAll(async () => {
  await Promise.all([gateway?.close(), two?.close()]);
  await Promise.all([server?.close(), paged?.close()]);
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

compare(
  '[errors] and results of every kind are the server’s own',
  'results, tool errors, protocol errors, prompts, resources and completions, member by member',
  async () => {
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
  },
);

compare(
  '[JSON-RPC ids] odd ids come back as the server itself gives them back',
  'ids: zero, negative, empty, escaped, the largest safe integer',
  async () => {
    const bodies = ['0', '-1', '"0"', '""', '"ü\\u0000"', '9007199254740991'].map(id =>
      call(id, 'test_simple_text'),
    );
    const [expected, found] = await both(place => messages(place, bodies));
    expect(found).toEqual(expected);
  },
);

compare(
  '[progressToken] notifications come in the same order, under the same token, before the answer',
  'order, tokens and values of progress, and that it comes before the answer',
  async () => {
    const bodies = ['"t"', '7'].map(token =>
      call('1', 'test_tool_with_progress', `,"_meta":{"progressToken":${token}}`),
    );
    const [expected, found] = await both(place => messages(place, bodies));
    expect(found).toEqual(expected);
  },
);

compare(
  '[capabilities] are no more and no less than the server has',
  'the capabilities of `initialize`',
  async () => {
    const [expected, found] = await both(openHello);
    expect(found).toEqual(expected);
  },
);

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

compare(
  '[list_changed] and [resources/subscribe ↔ listen]: the stream of a session says what the server’s says',
  'what the stream of a session says of changes and updates',
  async () => {
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
  },
);

compare(
  '[cancellation] a cancelled call ends at the server',
  'that a cancelled call ends at the server, once',
  async () => {
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
  },
);

compare(
  '[reverse ids] questions of two calls at once come back to the call that asked',
  'that ten questions at once come back to the call that asked',
  async () => {
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
  },
);

compare(
  '[pagination] every item once and in order',
  'all pages of a list, past empty ones and empty cursors',
  async () => {
    const walk = async (place: TestGateway, prefix: string) => {
      const client = await openRawClient(place);
      const names: string[] = [];
      let cursor: string | undefined;
      do {
        const params = cursor === undefined ? {} : { cursor };
        const [answer] = await client.ask(
          JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params }),
        );
        const { tools, nextCursor } = JSON.parse(answer ?? '').result;
        for (const { name } of tools) if (name.startsWith(prefix)) names.push(name.slice(prefix.length));
        cursor = nextCursor;
      } while (cursor !== undefined);
      return names;
    };
    const atServer: TestGateway = { ...two, url: new URL(paged.url) };
    expect(await walk(two, 'b__')).toEqual(await walk(atServer, ''));
  },
);

compare(
  '[resumption] a stream that was cut',
  'the messages of a call whose connection was cut in the middle',
  async () => {
    const [expected, found] = await both(async place => {
      const client = await openRawClient(place, { capabilities });
      const cut = new AbortController();
      const response = await client.post(
        call('"r"', 'test_tool_with_progress', ',"_meta":{"progressToken":"t"}'),
        { signal: cut.signal },
      );
      const seen: unknown[] = [];
      let last = '';
      for await (const { id, data } of eventsOf(response)) {
        last = id ?? last;
        if (data === '') continue;
        seen.push(JSON.parse(data));
        break;
      }
      cut.abort();
      const rest = await client.get({ headers: { 'last-event-id': last } });
      for await (const { data } of eventsOf(rest)) {
        if (data !== '') seen.push(JSON.parse(data));
        if (data.includes('"result"')) break;
      }
      return seen;
    });
    expect(found).toEqual(expected);
    expect(found).toHaveLength(4);
  },
);

compare(
  '[JSON-RPC ids] one id for several calls at once',
  'calls at once under one id: as the server answers them one by one',
  async () => {
    const names = [
      'test_simple_text',
      'test_error_handling',
      'test_multiple_content_types',
      'test_tool_with_progress',
    ];
    const onebyone = await messages(
      direct(),
      names.map(name => call('1', name)),
    );
    const client = await openRawClient(gateway, { capabilities });
    const atOnce = await Promise.all(names.map(name => client.ask(call('1', name))));
    expect(atOnce.map(answer => answer.map(message => JSON.parse(message)))).toEqual(onebyone);
  },
);

compare(
  '[names] and [resource URIs] of two servers',
  'the lists and answers of one of several servers, but for its prefix',
  async () => {
    const bodies = (prefix: string) => [
      call('1', `${prefix}test_simple_text`),
      call('2', `${prefix}test_embedded_resource`),
      '{"jsonrpc":"2.0","id":3,"method":"resources/list"}',
      '{"jsonrpc":"2.0","id":4,"method":"resources/read","params":{"uri":"test://static-text"}}',
      '{"jsonrpc":"2.0","id":5,"method":"prompts/list"}',
    ];
    const expected = await messages(direct(), bodies(''));
    const found = await messages(two, bodies('a__'));
    expect(JSON.parse(JSON.stringify(found).replaceAll('"name":"a__', '"name":"'))).toEqual(expected);
  },
);

compare(
  '[reverse ids] equal ids of two servers',
  'questions of two servers under one id, at once in one session',
  async () => {
    const client = await openRawClient(two, { capabilities });
    const one = async (server: string) => {
      const params = {
        name: `${server}__ask`,
        arguments: { id: 'same', params: { messages: [], maxTokens: 1, server } },
      };
      const response = await client.post(
        JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      );
      let last = '';
      for await (const { data } of eventsOf(response)) {
        if (data === '') continue;
        last = data;
        const message = JSON.parse(data);
        if (message.method !== 'sampling/createMessage') continue;
        const result = { answerTo: message.params.server };
        await client.post(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
      }
      return JSON.parse(resultText(last));
    };
    expect(await Promise.all(['c', 'd'].map(one))).toEqual(
      ['c', 'd'].map(server => ({ jsonrpc: '2.0', id: 'same', result: { answerTo: server } })),
    );
  },
);

compare(
  '[capabilities] a server asks for what the client has',
  'what a server asks clients of each set of capabilities',
  async () => {
    for (const each of [{}, { sampling: {} }, { elicitation: {} }, { sampling: {}, elicitation: {} }]) {
      const [expected, found] = await both(async place => {
        const client = await openRawClient(place, { capabilities: each });
        const asked: string[] = [];
        const response = await client.post(call('1', 'test_input_required_result_capabilities'));
        for await (const { data } of eventsOf(response)) {
          const { id, method } = JSON.parse(data || '{}');
          if (method === undefined) continue;
          asked.push(method);
          const result = {
            action: 'decline',
            role: 'assistant',
            content: { type: 'text', text: '' },
            model: 'm',
          };
          await client.post(JSON.stringify({ jsonrpc: '2.0', id, result }));
        }
        return asked.sort();
      });
      expect(found, JSON.stringify(each)).toEqual(expected);
    }
    const { result } = await createModernClient(gateway).call('test_input_required_result_capabilities');
    expect(result.resultType).toBe('complete'); // nothing was declared, so nothing is asked
  },
);

test('the page says what was compared', () => {
  expectInPage('differential', table);
});
