import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EverythingServer, startEverythingServer } from './fixtures/everything/start.ts';
import { createModernClient, textOf } from './modern-client.ts';
import { openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

/** Clients of the revision 2026-07-28 before servers of both eras. */
let modern: EverythingServer;
let legacy: EverythingServer;
let gateway: TestGateway;

beforeAll(async () => {
  modern = await startEverythingServer('modern');
  legacy = await startEverythingServer('legacy');
  const http = (server: EverythingServer) => ({
    type: 'streamable-http',
    url: server.url,
    allow_private: true,
  });
  gateway = await startGateway({
    servers: {
      new: http(modern),
      old: http(legacy),
      pipe: { type: 'stdio', command: [node, fixture('scripted-server.ts')], timeout_ms: 3000 },
    },
    namespaces: { fresh: { servers: ['new'] } },
    list_changed_debounce_ms: 10,
  });
});

afterAll(async () => {
  await gateway?.close();
  await Promise.all([modern?.close(), legacy?.close()]);
});

const all = { elicitation: {}, sampling: {}, roots: {} };
const accept = (content: object) => ({ action: 'accept', content });

test('[era detection (down)] discover says what the gateway serves, with the servers’ capabilities and how long it holds', async () => {
  const { status, result } = await createModernClient(gateway).ask('1', 'server/discover');
  expect(status).toBe(200);
  expect(result).toMatchObject({
    resultType: 'complete',
    supportedVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
    capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, completions: {} },
    cacheScope: 'private',
    _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'strata-mcp-gateway' } },
  });
  expect(result.instructions).toContain('# new');
});

test('[headers] what a header says must be what the message says', async () => {
  const client = createModernClient(gateway);
  const name = 'new__test_simple_text';
  for (const headers of [
    { 'mcp-method': 'tools/list' },
    { 'mcp-name': 'another' },
    { 'mcp-protocol-version': '2025-11-25', 'mcp-method': 'tools/call' },
    { 'mcp-name': '=?base64?!?=' },
  ]) {
    const { status, error } = await client.call(name, {}, {}, { headers });
    expect(error?.code, JSON.stringify(headers)).toBe('mcp-protocol-version' in headers ? -32600 : -32020);
    expect(status).toBe(400);
  }
  const encoded = `=?base64?${Buffer.from(name).toString('base64')}?=`;
  expect(textOf(await client.call(name, {}, {}, { headers: { 'mcp-name': encoded } }))).toContain(
    'simple text',
  );
});

test('[errors] codes and statuses are those of the era', async () => {
  const client = createModernClient(gateway);
  expect(await client.ask('1', 'ping')).toMatchObject({ status: 404, error: { code: -32601 } });
  expect(await client.call('nowhere')).toMatchObject({ status: 200, error: { code: -32602 } });
  expect(await client.ask('1', 'resources/read', { uri: 'test://nothing' })).toMatchObject({
    error: { code: -32602, data: { uri: 'test://nothing' } },
  });
  const missing = await client.ask(
    '9007199254740993',
    'tools/list',
    {},
    {
      rewrite: body => body.replace('clientCapabilities', 'other'),
    },
  );
  expect(missing).toMatchObject({ status: 400, error: { code: -32602 } });
  expect(missing.messages[0]).toContain('"id":9007199254740993,');
  expect(await client.call('new__test_missing_capability')).toMatchObject({
    status: 400,
    error: { code: -32021, data: { requiredCapabilities: { sampling: {} } } },
  });
});

test('[JSON-RPC ids] ids come back byte for byte, whatever the era of the server', async () => {
  const client = createModernClient(gateway);
  for (const name of ['new__echo', 'old__echo', 'pipe__pid']) {
    for (const id of ['9007199254740993', '"9007199254740993"', '-0.5e1', '"\\u0061"']) {
      const { messages } = await client.ask(id, 'tools/call', { name, arguments: {} });
      expect(messages.at(-1)).toContain(`"id":${id}`);
    }
  }
});

test('[cache hints][M19] nothing that a key decides on is for all, and what a server calls private is never anybody else’s', async () => {
  const client = createModernClient(gateway);
  for (const method of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']) {
    const { result } = await client.ask('1', method);
    expect(result).toMatchObject({ resultType: 'complete', cacheScope: 'private', ttlMs: 0 });
  }
  const uri = 'test://static-text';
  const read = await client.ask('1', 'resources/read', { uri: `new+${uri}` });
  expect(read.result).toMatchObject({ resultType: 'complete', cacheScope: 'private', ttlMs: 60_000 });
  const fresh = await createModernClient(gateway, { path: '/mcp/fresh' }).ask('1', 'tools/list');
  expect(fresh.result.cacheScope).toBe('private');
  expect(fresh.result.ttlMs).toBeGreaterThan(0);
  const key = await gateway.createKey('narrow', ['new__test_simple_text']);
  const { result } = await createModernClient(gateway, { key }).ask('1', 'tools/list');
  expect((result.tools as { name: string }[]).map(tool => tool.name)).toEqual(['new__test_simple_text']);
});

test('[M18] the state of a call that asks is bound to its caller and its request', async () => {
  const name = 'new__test_input_required_result_request_state';
  const client = createModernClient(gateway, { capabilities: all });
  const asked = await client.call(name);
  const { requestState } = asked.result;
  expect(asked.result.resultType).toBe('input_required');
  const inputResponses = { confirm: accept({ ok: true }) };
  const other = createModernClient(gateway, { capabilities: all, key: await gateway.createKey('mallory') });
  const refused = { error: { code: -32602, data: { reason: 'invalid_state' } } };
  expect(await other.call(name, {}, { inputResponses, requestState })).toMatchObject(refused);
  expect(await client.call(name, { changed: 1 }, { inputResponses, requestState })).toMatchObject(refused);
  expect(
    await client.call('new__test_input_required_result_tampered_state', {}, { inputResponses, requestState }),
  ).toMatchObject(refused);
  expect(await client.call(name, {}, { inputResponses, requestState: `${requestState}x` })).toMatchObject(
    refused,
  );
  expect(textOf(await client.call(name, {}, { inputResponses, requestState }))).toBe('state-ok');
});

test('[sampling / elicitation / roots] a server with sessions that asks parks its call, and goes on with the answer', async () => {
  const client = createModernClient(gateway, { capabilities: all });
  const before = legacy.requests.filter(method => method === 'tools/call').length;
  const asked = await client.call('old__test_elicitation', { message: 'Who?' });
  const [key = ''] = Object.keys(asked.result.inputRequests as object);
  expect(asked.result).toMatchObject({
    resultType: 'input_required',
    inputRequests: { [key]: { method: 'elicitation/create', params: { message: 'Who?' } } },
  });
  const { requestState } = asked.result;
  const retry = () =>
    client.call(
      'old__test_elicitation',
      { message: 'Who?' },
      { requestState, inputResponses: { [key]: accept({ username: 'ann', email: 'a@b.c' }) } },
    );
  const done = await retry();
  expect(done.result.resultType).toBe('complete');
  expect(textOf(done)).toContain('ann');
  // The same retry again gets the same answer, and nothing is done twice.
  expect(textOf(await retry())).toBe(textOf(done));
  expect(legacy.requests.filter(method => method === 'tools/call')).toHaveLength(before + 1);
});

test('[sampling / elicitation / roots] several rounds and several questions at once', async () => {
  const client = createModernClient(gateway, { capabilities: all });
  let { result } = await client.call('old__test_input_required_result_multiple_inputs');
  const answers: Record<string, object> = {
    'elicitation/create': accept({ name: 'ann' }),
    'sampling/createMessage': {
      role: 'assistant',
      content: { type: 'text', text: 'hi' },
      model: 'm',
      stopReason: 'endTurn',
    },
    'roots/list': { roots: [] },
  };
  for (let round = 0; result.resultType === 'input_required' && round < 5; round++) {
    const requests = Object.entries(result.inputRequests as Record<string, { method: string }>);
    const inputResponses = Object.fromEntries(requests.map(([key, { method }]) => [key, answers[method]]));
    const more = { inputResponses, requestState: result.requestState };
    ({ result } = await client.call('old__test_input_required_result_multiple_inputs', {}, more));
  }
  expect(result.content?.[0]?.text).toBe('client_roots greeting user_name');
});

test('[capabilities] a server is told no more than the request’s client can do', async () => {
  const none = await createModernClient(gateway).call('old__test_elicitation', { message: 'Who?' });
  expect(none.error ?? none.result.isError).toBeTruthy();
  const client = createModernClient(gateway, { capabilities: { sampling: {} } });
  const asked = await client.call('old__test_input_required_result_capabilities');
  expect(Object.values(asked.result.inputRequests as object)).toMatchObject([
    { method: 'sampling/createMessage' },
  ]);
});

test('[cancellation][F60] a client that leaves cancels its call at the server, whatever its era', async () => {
  const client = createModernClient(gateway);
  for (const [server, name] of [
    [modern, 'new__test_never'],
    [legacy, 'old__test_never'],
  ] as const) {
    const leaving = new AbortController();
    const before = server.requests.length;
    const sent = client.send('1', 'tools/call', { name, arguments: {} }, { signal: leaving.signal });
    sent.catch(() => {}); // it is cut off
    await until(() => server.requests.slice(before).includes('tools/call'), 'the call');
    leaving.abort();
    await until(() => server.shared.cancelled.includes('test_never'), `the end of ${name}`);
  }
});

test('[progressToken] and [logging] come on the stream of their own request, and logs only to who asked', async () => {
  const client = createModernClient(gateway);
  for (const server of ['new', 'old']) {
    const progress = await client.call(
      `${server}__test_tool_with_progress`,
      {},
      {},
      { meta: { progressToken: 'tok' } },
    );
    const heard = progress.messages.slice(0, -1).map(message => JSON.parse(message).params);
    expect(heard.map(params => [params.progressToken, params.progress])).toEqual([
      ['tok', 0],
      ['tok', 50],
      ['tok', 100],
    ]);
    const name = `${server}__test_logging_tool`;
    expect((await client.call(name)).messages).toHaveLength(1);
    const level = { 'io.modelcontextprotocol/logLevel': 'info' };
    expect((await client.call(name, {}, {}, { meta: level })).messages).toHaveLength(4);
    expect((await client.call(name)).messages).toHaveLength(1);
    const severe = { 'io.modelcontextprotocol/logLevel': 'error' };
    expect((await client.call(name, {}, {}, { meta: severe })).messages).toHaveLength(1);
  }
});

test('[resources/subscribe ↔ listen] one stream hears of servers of both eras, tagged and only what was asked', async () => {
  const client = createModernClient(gateway);
  const uris = ['new+test://watched-resource', 'old+test://watched-resource', 'test://nowhere'];
  const listening = await client.listen({ toolsListChanged: true, resourceSubscriptions: uris });
  expect(listening.acknowledged).toEqual({ toolsListChanged: true, resourceSubscriptions: uris.slice(0, 2) });
  modern.shared.resourceUpdated('test://watched-resource');
  expect(await listening.next('notifications/resources/updated')).toMatchObject({
    uri: uris[0],
    _meta: { 'io.modelcontextprotocol/subscriptionId': 'listen' },
  });
  legacy.shared.resourceUpdated('test://watched-resource');
  await until(
    () => listening.messages.some(({ params }) => params?.uri === uris[1]),
    'the update of the other',
  );
  await client.call('old__test_trigger_tool_change');
  await listening.next('notifications/tools/list_changed');
  await client.call('new__test_trigger_prompt_change');
  expect(listening.messages.map(({ method }) => method)).not.toContain('notifications/prompts/list_changed');
  listening.close();
});

test('[list_changed] a change of a server without sessions is in the list that follows', async () => {
  const client = createModernClient(gateway);
  const listening = await client.listen({ toolsListChanged: true });
  await client.call('new__test_trigger_tool_change');
  await listening.next('notifications/tools/list_changed');
  const { result } = await client.ask('1', 'tools/list');
  const names = (result.tools as { name: string }[]).map(tool => tool.name);
  expect(names).toContain(`new__${modern.shared.extraTools.at(-1)}`);
  listening.close();
});

test('[resource URIs] the only server that has resources says itself which it has', async () => {
  const client = createModernClient(gateway, { path: '/mcp/fresh' });
  const before = modern.requests.filter(method => method === 'resources/read').length;
  const answer = await client.ask('1', 'resources/read', { uri: 'test://not-listed' });
  expect(answer.error).toMatchObject({ code: -32602 });
  expect(answer.error?.data?.reason).toBeUndefined();
  expect(modern.requests.filter(method => method === 'resources/read')).toHaveLength(before + 1);
  const several = await createModernClient(gateway).ask('1', 'resources/read', { uri: 'test://not-listed' });
  expect(several.error?.data?.reason).toBe('unknown_resource');
});

test('a virtual server is there for clients of this era too', async () => {
  const client = createModernClient(gateway, { path: '/mcp/fresh' });
  const { result } = await client.ask('1', 'tools/list');
  for (const { name } of result.tools as { name: string }[]) expect(name).toMatch(/^new__/);
  expect(await client.call('old__test_simple_text')).toMatchObject({ error: { code: -32602 } });
});

test('[_meta] a server with sessions sees nothing of the hop, and everything else', async () => {
  const client = createModernClient(gateway);
  const answer = await client.call(
    'pipe__echo',
    { big: 1 },
    {},
    {
      meta: { 'vendor/key': 1 },
      rewrite: body => body.replace('"big":1', '"big":9007199254740993'),
    },
  );
  const line = resultText(answer.messages.at(-1));
  expect(line).toContain('"big":9007199254740993');
  expect(line).toContain('"vendor/key":1');
  expect(line).not.toContain('io.modelcontextprotocol/');
});

test('[_meta] a trace that a message names goes on to the server and into the records, in either era', async () => {
  const traceId = 'a'.repeat(32);
  const meta = { traceparent: `00-${traceId}-${'b'.repeat(16)}-01`, tracestate: 'v=1' };
  const modern = await createModernClient(gateway).call('pipe__echo', {}, {}, { meta });
  const session = await openRawClient(gateway);
  const params = JSON.stringify({ name: 'pipe__echo', _meta: meta });
  const [legacy] = await session.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`);
  for (const line of [textOf(modern), resultText(legacy)]) {
    expect(line).toMatch(new RegExp(`"traceparent":"00-${traceId}-[0-9a-f]{16}-01"`));
    expect(line).not.toContain('b'.repeat(16));
    expect(line).toContain('"tracestate":"v=1"');
  }
  const records = gateway.logs.filter(({ call }) => (call as { traceId?: string })?.traceId === traceId);
  expect(records).toHaveLength(2);
});
