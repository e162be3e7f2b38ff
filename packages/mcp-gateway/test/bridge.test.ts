import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { createMemoryHot } from '@strata/shared/stores/memory-hot.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient, textOf } from './modern-client.ts';
import { errorOf, eventsOf, openRawClient, type RawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** The two cells where the eras differ, and what two replicas make of them. */
let modern: EverythingServer;
let legacy: EverythingServer;
let one: TestGateway;
let two: TestGateway;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'strata-bridge-'));
  modern = await startEverythingServer('modern');
  legacy = await startEverythingServer('legacy');
  const hot = createMemoryHot(systemClock);
  const http = (server: EverythingServer) => ({
    type: 'streamable-http',
    url: server.url,
    allow_private: true,
  });
  const pipe = { type: 'stdio', era: 'legacy', command: [node, fixture('scripted-server.ts')] };
  const section = { servers: { new: http(modern), old: http(legacy), pipe }, list_changed_debounce_ms: 10 };
  one = await startGateway(section, { hot, dataDir: folder });
  two = await startGateway(section, { hot, dataDir: folder });
});

afterAll(async () => {
  await Promise.all([one?.close(), two?.close(), modern?.close(), legacy?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const all = { elicitation: {}, sampling: {}, roots: {} };
const accept = (content: object) => ({ action: 'accept', content });

/** Makes a call as a client of the sessions era that answers whatever it is asked. */
async function callAnswering(client: RawClient, name: string, args: object, answers: Record<string, object>) {
  const asked: string[] = [];
  const params = JSON.stringify({ name, arguments: args });
  const response = await client.post(`{"jsonrpc":"2.0","id":"c","method":"tools/call","params":${params}}`);
  let last = '';
  for await (const { data } of eventsOf(response)) {
    if (data === '') continue;
    last = data;
    const { id, method } = JSON.parse(data) as { id?: unknown; method?: string };
    if (method === undefined || id === undefined) continue;
    asked.push(method);
    await client.post(JSON.stringify({ jsonrpc: '2.0', id, result: answers[method] }));
  }
  return { last, asked };
}

test('[sampling / elicitation / roots] what a server without sessions wants becomes requests to a client with one', async () => {
  const client = await openRawClient(one, { capabilities: all });
  const answers = {
    'elicitation/create': accept({ name: 'ann', color: 'red' }),
    'sampling/createMessage': { role: 'assistant', content: { type: 'text', text: 'hi' }, model: 'm' },
    'roots/list': { roots: [{ uri: 'file:///r' }] },
  };
  const several = await callAnswering(client, 'new__test_input_required_result_multiple_inputs', {}, answers);
  expect(several.asked.sort()).toEqual(['elicitation/create', 'roots/list', 'sampling/createMessage']);
  expect(resultText(several.last)).toBe('client_roots greeting user_name');
  const rounds = await callAnswering(client, 'new__test_input_required_result_multi_round', {}, answers);
  expect(rounds.asked).toHaveLength(2);
  expect(resultText(rounds.last)).toBe('All steps are done.');
  expect(rounds.last).not.toContain('resultType');
  // Which server answered is told to those who speak to it: the hop ends at the gateway.
  expect(rounds.last).not.toContain('serverInfo');
});

test('[capabilities] a client with a session that cannot be asked gets an error, and its server was told so', async () => {
  const client = await openRawClient(one);
  const [answer] = await client.call('1', 'new__test_input_required_result_sampling');
  expect(errorOf(answer)?.code).toBe(-32021);
});

test('[resources/subscribe ↔ listen] updates of a server without sessions reach a session that subscribed, and no other', async () => {
  const [subscriber, other] = await Promise.all([openRawClient(one), openRawClient(one)]);
  const heard: string[] = [];
  const overheard: string[] = [];
  const stop = new AbortController();
  const listen = async (client: RawClient, into: string[]) => {
    for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) into.push(data);
  };
  listen(subscriber, heard).catch(() => {}); // ends with the test
  listen(other, overheard).catch(() => {}); // as above
  const uri = 'new+test://watched-resource';
  const ask = (method: string) =>
    subscriber.ask(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { uri } }));
  expect(JSON.parse((await ask('resources/subscribe'))[0] ?? '')).toMatchObject({ result: {} });
  modern.shared.resourceUpdated('test://watched-resource');
  await until(() => heard.some(data => data.includes('resources/updated')), 'the update');
  const update = JSON.parse(heard.find(data => data.includes('resources/updated')) ?? '{}');
  expect(update.params).toEqual({ uri });
  expect(overheard.join()).not.toContain('resources/updated');
  await ask('resources/unsubscribe');
  stop.abort();
});

test('[list_changed] a change of a server without sessions reaches a session', async () => {
  const client = await openRawClient(one);
  await client.ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  const heard: string[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) heard.push(data);
  })();
  reading.catch(() => {}); // ends with the test
  await until(
    async () => {
      await client.call('1', 'new__test_trigger_tool_change');
      return heard.some(data => data.includes('tools/list_changed'));
    },
    'the notification',
    10_000,
  );
  stop.abort();
});

test.for(['new', 'old'])(
  '[list_changed] a client that was never shown a list is told what its server says (%s)',
  async server => {
    const client = await openRawClient(one);
    await client.call('1', `${server}__test_simple_text`);
    const heard: string[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) heard.push(data);
    })();
    reading.catch(() => {}); // ends with the test
    await until(
      async () => {
        await client.call('1', `${server}__test_trigger_prompt_change`);
        return heard.some(data => data.includes('prompts/list_changed'));
      },
      'the notification',
      10_000,
    );
    expect(heard.join()).not.toContain('tools/list_changed');
    stop.abort();
  },
);

test('[cancellation] a session’s cancellation aborts the request at a server without sessions', async () => {
  const client = await openRawClient(one);
  const before = modern.shared.cancelled.length;
  const requests = modern.requests.length;
  const calling = client.call('"n"', 'new__test_never');
  await until(() => modern.requests.slice(requests).includes('tools/call'), 'the call');
  await until(async () => {
    await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"n"}}');
    return modern.shared.cancelled.length > before;
  }, 'the end at the server');
  expect(await calling).toEqual([]);
});

test('[era detection (up)] the era is asked once for all clients, and again when the server is another one', async () => {
  const first = await startEverythingServer('modern');
  const port = Number(new URL(first.url).port);
  const gateway = await startGateway({
    servers: { it: { type: 'streamable-http', url: first.url, allow_private: true } },
  });
  let later: EverythingServer | undefined;
  try {
    const client = await openRawClient(gateway);
    await Promise.all([1, 2, 3].map(() => client.call('1', 'it__test_simple_text')));
    await Promise.all([1, 2, 3].map(() => createModernClient(gateway).call('it__test_simple_text')));
    expect(first.requests.filter(method => method === 'server/discover')).toHaveLength(1);
    expect(first.requests).not.toContain('initialize');
    await first.close();
    later = await startEverythingServer('legacy', port);
    await until(
      async () => resultText((await client.call('1', 'it__test_simple_text')).at(-1)).includes('simple'),
      'the call in the other era',
      15_000,
    );
    expect(later.requests).toContain('initialize');
  } finally {
    await gateway.close();
    await later?.close();
  }
});

test('[era detection (up)] a server of both eras that names one is spoken to in the era of each client', async () => {
  const server = await startEverythingServer('dual');
  const servers = { it: { type: 'streamable-http', url: server.url, allow_private: true } };
  const gateway = await startGateway({ servers });
  try {
    const clients = await Promise.all([1, 2].map(() => openRawClient(gateway)));
    await Promise.all(clients.map(client => client.call('1', 'it__test_simple_text')));
    // One to find out, whose session is ended again, and one for each client.
    expect(server.requests.filter(method => method === 'initialize')).toHaveLength(3);
    await until(() => server.openSessions === 2, 'the goodbye');
    expect(textOf(await createModernClient(gateway).call('it__test_simple_text'))).toContain('simple');
    expect(server.openSessions).toBe(2);
  } finally {
    await gateway.close();
    await server.close();
  }
});

test('[MCP-6] a parked call goes on at whichever replica its client comes back to, and is made once', async () => {
  const before = legacy.requests.filter(method => method === 'tools/call').length;
  const client = createModernClient(one, { capabilities: all });
  const name = 'old__test_input_required_result_multi_round';
  let answer = await client.call(name);
  const states = new Set<unknown>();
  for (let round = 0; answer.result.resultType === 'input_required' && round < 5; round++) {
    const { requestState, inputRequests } = answer.result;
    states.add(requestState);
    const inputResponses = Object.fromEntries(
      Object.keys(inputRequests as object).map(key => [key, accept({ name: 'ann', color: 'red' })]),
    );
    const gateway = round % 2 === 0 ? two : one;
    answer = await client.call(name, {}, { inputResponses, requestState }, { gateway });
  }
  expect(textOf(answer)).toBe('All steps are done.');
  expect(states.size).toBe(2);
  expect(legacy.requests.filter(method => method === 'tools/call')).toHaveLength(before + 1);
});

test.for(['where it is parked', 'at another replica'])(
  '[progressToken] a call that goes on %s tells its progress under the token of the request that waits now',
  async place => {
    const client = createModernClient(one, { capabilities: all });
    const first = await client.call('pipe__ask', {}, {}, { meta: { progressToken: 'first' } });
    const { requestState, inputRequests } = first.result;
    const [key = ''] = Object.keys(inputRequests as object);
    const answer = await client.call(
      'pipe__ask',
      {},
      { requestState, inputResponses: { [key]: { role: 'assistant', content: [], model: 'm' } } },
      { meta: { progressToken: 2 }, gateway: place === 'at another replica' ? two : one },
    );
    expect(answer.messages.map(line => JSON.parse(line).params?.progressToken)).toEqual([2, undefined]);
    expect(textOf(answer)).toContain('assistant');
  },
);

test('[MCP-6] the death of the replica that holds a call is told as such, and nothing is done again', async () => {
  const hot = createMemoryHot(systemClock);
  const servers = { old: { type: 'streamable-http', url: legacy.url, allow_private: true } };
  const owner = await startGateway({ servers }, { hot, dataDir: folder });
  const heir = await startGateway({ servers }, { hot, dataDir: folder });
  try {
    const client = createModernClient(owner, { capabilities: all });
    const args = { message: 'Who?' };
    const { result } = await client.call('old__test_elicitation', args);
    const [key = ''] = Object.keys(result.inputRequests as object);
    const calls = () => legacy.requests.filter(method => method === 'tools/call').length;
    const before = calls();
    await owner.close();
    const inputResponses = { [key]: accept({ username: 'ann', email: 'a@b.c' }) };
    const answer = await client.call(
      'old__test_elicitation',
      args,
      { inputResponses, requestState: result.requestState },
      { gateway: heir },
    );
    expect(answer.error).toMatchObject({
      code: -32603,
      data: { reason: 'parked_call_gone', retryable: true },
    });
    expect(calls()).toBe(before);
  } finally {
    await heir.close();
  }
}, 30_000);

test('a client that speaks the newest revision touches no store when its server does too', async () => {
  const hot = createMemoryHot(systemClock);
  const touched: string[] = [];
  const watched = new Proxy(hot, {
    get(target, name: keyof typeof hot) {
      const value = target[name];
      if (typeof value !== 'function' || name === 'close' || name === 'ping') return value;
      return (...args: unknown[]) => {
        touched.push(name);
        return Reflect.apply(value, target, args);
      };
    },
  });
  const servers = { new: { type: 'streamable-http', url: modern.url, allow_private: true } };
  const gateway = await startGateway({ servers }, { hot: watched });
  try {
    touched.length = 0;
    const client = createModernClient(gateway, { capabilities: all });
    await client.ask('1', 'tools/list');
    expect(textOf(await client.call('new__test_simple_text'))).toContain('simple');
    const asked = await client.call('new__test_input_required_result_elicitation');
    expect(asked.result.resultType).toBe('input_required');
    const listening = await client.listen({ toolsListChanged: true });
    listening.close();
    expect(touched).toEqual([]);
  } finally {
    await gateway.close();
  }
});
