import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf, eventsOf, messagesOf, openRawClient, resultText, until } from './raw-client.ts';
import { fixture, node, startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;

beforeAll(async () => {
  const scripted = { type: 'stdio', command: [node, fixture('scripted-server.ts')] };
  gateway = await startGateway({
    servers: {
      one: { ...scripted, sharing: 'shared' },
      own: { ...scripted, timeout_ms: 60_000, tool_timeouts_ms: { never: 300 } },
    },
    streams: { stream_after_ms: 50 },
  });
});

afterAll(() => gateway?.close());

test('[JSON-RPC ids][MCP-1] ids come back byte for byte, whatever they are', async () => {
  const client = await openRawClient(gateway);
  const id = fc.oneof(
    fc.string().map(text => JSON.stringify(text)),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
    fc.constantFrom(
      '9007199254740993',
      '"9007199254740993"',
      '0',
      '-0',
      '""',
      '"\\u0041"',
      '1e3',
      '"strata-1"',
    ),
  );
  await fc.assert(
    fc.asyncProperty(id, async raw => {
      const [answer = ''] = await client.call(raw, 'one__pid');
      expect(answer).toContain(`"id":${raw},`);
      const [pong] = await client.ask(`{ "method":"ping" , "id" : ${raw}, "jsonrpc":"2.0"}`);
      expect(pong).toBe(`{"jsonrpc":"2.0","id":${raw},"result":{}}`);
    }),
    { numRuns: 40 },
  );
});

test('[AI-2] what nobody reads passes unchanged: large integers, odd spacing, unknown members, repeated arguments', async () => {
  const client = await openRawClient(gateway);
  const args = '{ "big":12345678901234567890.000, "a":1,"A":2, "\\u0062":"\\/" }';
  const [answer] = await client.ask(
    `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"vendor": [1.0],"arguments":${args},"name":"one__echo"},"x":{}}`,
  );
  const received = resultText(answer);
  expect(received).toContain(args);
  expect(received).toContain('"vendor": [1.0]');
  expect(received).toContain('"x":{}');
  expect(received).toContain('"name":"echo"');
  expect(received).toMatch(/"_meta":\{"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"\}/);
});

test('a message over several lines reaches a server that reads line by line', async () => {
  const client = await openRawClient(gateway);
  const pretty = JSON.stringify(
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__echo', arguments: { a: 'b' } } },
    null,
    2,
  ).replaceAll('\n', '\r\n');
  const [answer] = await client.ask(pretty);
  expect(JSON.parse(resultText(answer))).toMatchObject({ params: { arguments: { a: 'b' } } });
});

test('[JSON-RPC ids][M6][MCP-1] many clients with equal ids and delayed answers in any order: each gets its own', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, () => openRawClient(gateway)));
  const rounds = 25;
  let delivered = 0;
  await Promise.all(
    clients.map(async (client, who) => {
      await Promise.all(
        Array.from({ length: rounds }, async (_, round) => {
          // Every client uses the same two ids all the time, also twice at once on one session.
          const mark = `${who}/${round}`;
          const delayMs = ((who * 7 + round * 13) % 10) * 6;
          const answers = await client.call(String(round % 2), 'one__echo', { mark, delayMs });
          const answer = answers.at(-1);
          expect(answers).toHaveLength(1);
          expect(JSON.parse(answer ?? '').id).toBe(round % 2);
          expect(JSON.parse(resultText(answer)).params.arguments.mark).toBe(mark);
          delivered++;
        }),
      );
    }),
  );
  expect(delivered).toBe(clients.length * rounds);
});

test('[P1] two requests with one id in one session each get their own answer', async () => {
  const client = await openRawClient(gateway);
  const [slow, fast] = await Promise.all([
    client.call('1', 'one__echo', { mark: 'slow', delayMs: 120 }),
    client.call('1', 'one__echo', { mark: 'fast' }),
  ]);
  expect(resultText(slow.at(-1))).toContain('slow');
  expect(resultText(fast.at(-1))).toContain('fast');
});

test('[progressToken] progress comes back under the token of the client, also when two clients use the same', async () => {
  const clients = await Promise.all([openRawClient(gateway), openRawClient(gateway)]);
  const ask = (token: string) =>
    `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"one__progress","arguments":{},"_meta":{"progressToken":${token}}}}`;
  const answers = await Promise.all(clients.map(client => client.ask(ask('9007199254740993'))));
  for (const messages of answers) {
    expect(messages).toHaveLength(4);
    for (const message of messages.slice(0, 3))
      expect(message).toContain('"progressToken":9007199254740993,');
    expect(resultText(messages[3])).toBe('done');
  }
});

test('[F57] answers that nobody waits for, or that come twice, are dropped', async () => {
  const client = await openRawClient(gateway);
  const lines = [
    '{"jsonrpc":"2.0","id":987654321,"result":{"content":[{"type":"text","text":"foreign"}]}}',
    '{"jsonrpc":"2.0","id":"$id","result":{"content":[{"type":"text","text":"as text"}]}}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}',
    '{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"first"}]}}',
  ];
  const messages = await client.call('1', 'own__raw', { lines });
  expect(messages.map(resultText)).toEqual(['first']); // the fixture's own later answer has the same id
  expect(await gateway.prometheus()).toMatch(/strata_mcp_stray_messages\S* \d/);
});

test('[reverse ids] a server may use any id for its questions, and gets it back byte for byte', async () => {
  const client = await openRawClient(gateway, { capabilities: { sampling: {} } });
  const asking = async (mark: string) => {
    const response = await client.post(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"own__ask","arguments":{"id":${mark}}}}`,
    );
    let last = '';
    for await (const { data } of eventsOf(response)) {
      if (data === '') continue;
      last = data;
      const message = JSON.parse(data);
      if (message.method !== 'sampling/createMessage') continue;
      expect(message.id).toMatch(/^strata-\d+$/);
      await client.post(
        `{"jsonrpc":"2.0","id":${JSON.stringify(message.id)},"result":{"big":9007199254740993}}`,
      );
    }
    return resultText(last);
  };
  expect(await asking('"text"')).toBe('{"jsonrpc":"2.0","id":"text","result":{"big":9007199254740993}}');
  expect(await asking('7')).toContain('"id":7,');
});

test('[sampling / elicitation / roots] a question for something the client cannot do is refused for it', async () => {
  const client = await openRawClient(gateway);
  const [answer] = await client.call('1', 'own__ask');
  expect(JSON.parse(resultText(answer))).toMatchObject({ error: { code: -32601 } });
});

test('a call that takes too long is cancelled at its server and answered with an error', async () => {
  const client = await openRawClient(gateway);
  const messages = await client.call('1', 'own__never');
  expect(errorOf(messages.at(-1))).toMatchObject({
    code: -32001,
    data: { reason: 'call_timeout', server: 'own' },
  });
  expect(gateway.logs).toContainEqual(expect.objectContaining({ outcome: 'failed', reason: 'call_timeout' }));
});

test('[cancellation][M-10] a call that the client cancels gets no answer, and its server is told', async () => {
  const client = await openRawClient(gateway);
  const cancelling = client.call('"c"', 'one__never');
  let isOver = false;
  void cancelling.then(() => {
    isOver = true;
  });
  await until(async () => {
    const taken = await client.post(
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c","reason":"enough"}}',
    );
    expect(taken.status).toBe(202);
    return isOver;
  }, 'the end of the call');
  expect(await cancelling).toEqual([]);
  await until(
    async () => resultText((await client.call('1', 'one__cancelled'))[0]).includes('requestId'),
    'the message to the server',
  );
  expect(gateway.logs).toContainEqual(expect.objectContaining({ outcome: 'cancelled' }));
});

test('a cancellation that could mean two calls cancels neither', async () => {
  const client = await openRawClient(gateway);
  const calls = [1, 2].map(() => client.call('3', 'one__echo', { delayMs: 150 }));
  await client.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}');
  for (const messages of await Promise.all(calls)) expect(messages).toHaveLength(1);
});

test('quick answers are JSON, slow ones a stream with a first event to resume from', async () => {
  const client = await openRawClient(gateway);
  const ask = (delayMs: number) =>
    client.post(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{"delayMs":${delayMs}}}}`,
    );
  await ask(0);
  const quick = await ask(0);
  expect(quick.headers.get('content-type')).toContain('application/json');
  const slow = await ask(150);
  expect(slow.headers.get('content-type')).toContain('text/event-stream');
  const events = [];
  for await (const event of eventsOf(slow)) events.push(event);
  expect(events.map(event => event.id)).toEqual(['x1.0', 'x1.1']);
  expect(events[0]?.data).toBe('');
});

test('a client that takes no streams gets JSON however long it takes', async () => {
  const client = await openRawClient(gateway);
  const response = await client.post(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{"delayMs":150}}}',
    { headers: { accept: 'application/json' } },
  );
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(await messagesOf(response)).toHaveLength(1);
});

test('a batch is answered in one array where batches exist, and refused elsewhere', async () => {
  const batch =
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__pid"}},{"jsonrpc":"2.0","method":"notifications/initialized"},{"id":3}]';
  const old = await openRawClient(gateway, { version: '2025-03-26' });
  const [body] = await old.ask(batch);
  const answers = JSON.parse(body ?? '') as { id: unknown; error?: { code: number } }[];
  expect(answers.map(answer => [answer.id, answer.error?.code])).toEqual(
    expect.arrayContaining([
      [1, undefined],
      [1, undefined],
      [3, -32600],
    ]),
  );
  expect(answers).toHaveLength(3);
  const young = await openRawClient(gateway);
  const refused = await young.post(batch);
  expect(refused.status).toBe(400);
  expect(errorOf(await refused.text())?.data).toMatchObject({ reason: 'batch_not_allowed' });
});

test('a call leaves one record: who, what, with which arguments as a digest, and no argument as text', async () => {
  const client = await openRawClient(gateway);
  await client.call('1', 'one__fail', { password: 'canary-7261' });
  const record = gateway.logs.find(line => line.outcome === 'tool_error');
  expect(record).toMatchObject({
    call: {
      tenant: 'default',
      principal: 'tester',
      keyId: expect.any(String),
      method: 'tools/call',
      name: 'one__fail',
      server: 'one',
      serverName: 'fail',
      argumentsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    },
    durationMs: expect.any(Number),
  });
  const everything = JSON.stringify(gateway.logs);
  expect(everything).not.toContain('canary-7261');
  expect(everything).not.toContain(client.sessionId);
});

test('a call of a tool is one entry of the audit log, with its arguments as a keyed hash', async () => {
  const client = await openRawClient(gateway);
  await client.call('1', 'one__fail', { password: 'canary-9043' });
  const entries = (await gateway.audited('default')).filter(entry => entry.category === 'tool_call');
  expect(entries.at(-1)).toMatchObject({
    action: 'tool.call',
    outcome: 'failed',
    reason: 'tool_error',
    principal: 'tester',
    key_id: expect.stringMatching(/^key_/),
    target: { type: 'tool', id: 'one__fail' },
    trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    details: { server: 'one', server_tool: 'fail', duration_ms: expect.any(Number) },
    sensitive: { arguments_sha256: expect.stringMatching(/^hmac-sha256:/) },
  });
  expect(JSON.stringify(entries)).not.toContain('canary-9043');
  await client.post('{"jsonrpc":"2.0","id":2,"method":"ping"}');
  const after = (await gateway.audited('default')).filter(entry => entry.category === 'tool_call');
  expect(after).toHaveLength(entries.length);
});

test('the caller’s trace goes on in the span and to the server', async () => {
  const client = await openRawClient(gateway);
  const traceId = 'abcdefabcdefabcdefabcdefabcdef12';
  const response = await client.post(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__echo","arguments":{},"_meta":{"keep":1}}}',
    { headers: { traceparent: `00-${traceId}-1234567890abcdef-01` } },
  );
  const received = JSON.parse(resultText((await messagesOf(response))[0])).params._meta;
  expect(received.keep).toBe(1);
  expect(received.traceparent).toContain(traceId);
  const spans = gateway.recentSpans.ofTrace(traceId);
  expect(spans.map(span => span.name)).toContain('tools/call one__echo');
});
