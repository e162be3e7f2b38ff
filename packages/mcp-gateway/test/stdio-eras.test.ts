import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createModernClient, textOf } from './modern-client.ts';
import { errorOf, eventsOf, isAlive, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Servers that run as processes and speak the new era, or either, over their pipes. */
let gateway: TestGateway;
const servers = ['new', 'dual', 'shared'] as const;

beforeAll(async () => {
  const everything = (...args: string[]) => ({
    type: 'stdio',
    command: [node, fixture('everything/stdio.ts'), ...args],
  });
  gateway = await startGateway({
    servers: {
      new: everything('modern'),
      dual: everything('dual'),
      shared: { ...everything('modern'), sharing: 'shared' },
      old: { type: 'stdio', command: [node, fixture('scripted-server.ts')] },
      abrupt: { type: 'stdio', command: [node, fixture('abrupt-server.ts')] },
    },
    list_changed_debounce_ms: 10,
  });
});
afterAll(() => gateway?.close());

const all = { elicitation: {}, sampling: {}, roots: {} };
const call = (name: string, args: object = {}, meta: object = {}) =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 'c',
    method: 'tools/call',
    params: { name, arguments: args, _meta: meta },
  });

describe.for(servers)('%s', server => {
  test('[era detection (up)] clients of both eras use a server that speaks without sessions over its pipe', async () => {
    const [session, modern] = [await openRawClient(gateway), createModernClient(gateway)];
    expect(resultText((await session.call('1', `${server}__test_simple_text`)).at(-1))).toContain('simple');
    expect(textOf(await modern.call(`${server}__test_simple_text`))).toContain('simple');
    const read = await modern.ask('1', 'resources/read', { uri: `${server}+test://static-text` });
    expect(JSON.stringify(read.result)).toContain('The content of the static text.');
  });

  test('[progressToken] progress comes under the token of its client', async () => {
    const client = await openRawClient(gateway);
    const messages = await client.ask(
      call(`${server}__test_tool_with_progress`, {}, { progressToken: 'mine' }),
    );
    const tokens = messages.slice(0, -1).map(message => JSON.parse(message).params.progressToken);
    expect(tokens).toEqual(['mine', 'mine', 'mine']);
  });

  test('[list_changed] a change is told to both eras', async () => {
    const modern = createModernClient(gateway);
    const listening = await modern.listen({ toolsListChanged: true });
    expect(listening.acknowledged).toEqual({ toolsListChanged: true });
    await modern.call(`${server}__test_trigger_tool_change`);
    await listening.next('notifications/tools/list_changed');
    listening.close();
  });

  test('[resources/subscribe ↔ listen] updates of a resource come to who subscribed', async () => {
    const client = await openRawClient(gateway);
    const heard: string[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const { data } of eventsOf(await client.get({ signal: stop.signal }))) heard.push(data);
    })();
    reading.catch(() => {}); // ends with the test
    const uri = `${server}+test://watched-resource`;
    const subscribed = await client.ask(
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params: { uri } }),
    );
    expect(JSON.parse(subscribed.at(-1) ?? '')).toMatchObject({ result: {} });
    await client.call('2', `${server}__test_trigger_resource_update`);
    await until(() => heard.some(data => data.includes('resources/updated')), 'the update', 30_000);
    expect(heard.join('\n')).toContain(uri);
    stop.abort();
  });

  test('[cancellation] who leaves ends the call at the server, which goes on', async () => {
    const leaving = new AbortController();
    const client = createModernClient(gateway);
    const calling = client.call(`${server}__test_never`, {}, {}, { signal: leaving.signal });
    calling.catch(() => {}); // it is left
    await until(
      async () => {
        leaving.abort();
        return textOf(await client.call(`${server}__test_cancelled`)).includes('test_never') || retry();
      },
      'the end at the server',
      30_000,
    );

    /** The call may not have reached the server before it was left. */
    function retry(): boolean {
      const again = new AbortController();
      client.call(`${server}__test_never`, {}, {}, { signal: again.signal }).catch(() => {}); // it is left
      setTimeout(() => again.abort(), 50);
      return false;
    }
  });
});

test('[sampling / elicitation / roots] what a server on a pipe asks becomes input_required, or a request to a session', async () => {
  const modern = createModernClient(gateway, { capabilities: all });
  const name = 'new__test_input_required_result_elicitation';
  const asked = await modern.call(name);
  const { requestState, inputRequests } = asked.result;
  const inputResponses = Object.fromEntries(
    Object.keys(inputRequests as object).map(key => [key, { action: 'accept', content: { name: 'ann' } }]),
  );
  const more = { inputResponses, ...(requestState !== undefined && { requestState }) };
  expect(textOf(await modern.call(name, {}, more))).toContain('ann');

  const session = await openRawClient(gateway, { capabilities: all });
  const response = await session.post(call(name));
  let last = '';
  for await (const { data } of eventsOf(response)) {
    if (data === '') continue;
    last = data;
    const { id, method } = JSON.parse(data) as { id?: unknown; method?: string };
    if (method !== 'elicitation/create') continue;
    await session.post(
      JSON.stringify({ jsonrpc: '2.0', id, result: { action: 'accept', content: { name: 'bob' } } }),
    );
  }
  expect(resultText(last)).toContain('bob');
});

test('[F52] a server without sessions that is stuck is started anew', async () => {
  const stuck = await startGateway({
    servers: {
      one: {
        type: 'stdio',
        command: [node, fixture('everything/stdio.ts'), 'modern'],
        timeout_ms: 1000,
        open_timeout_ms: 10_000,
      },
    },
  });
  try {
    const client = createModernClient(stuck);
    const pid = Number(textOf(await client.call('one__pid')));
    process.kill(pid, 'SIGSTOP');
    expect((await client.call('one__pid')).error?.data).toMatchObject({ reason: 'call_timeout' });
    await until(() => !isAlive(pid), 'the end of the stuck process', 30_000);
    expect(Number(textOf(await client.call('one__pid')))).not.toBe(pid);
  } finally {
    await stuck.close();
  }
});

test('[era detection (up)] a server with sessions that ends at anything but `initialize` is one with sessions', async () => {
  const client = await openRawClient(gateway);
  for (const server of ['old', 'abrupt']) {
    const [answer] = await client.call('1', `${server}__echo`);
    expect(errorOf(answer)).toBeUndefined();
    expect(resultText(answer)).toContain('tools/call');
  }
});
