import { createEnvelopeVerifier } from '@strata/shared/identity/envelope-token.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';
import { type Reply, startModel } from './support/model.ts';
import { startToolServer, type Tool, type ToolServer } from './support/tool-server.ts';

/** Agents whose model and tools are real servers on real sockets. */

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface Stack {
  readonly gateway: TestGateway;
  readonly model: FarEnd;
  readonly tools: ToolServer;
}

const add: Tool = {
  name: 'math__add',
  annotations: { readOnlyHint: true },
  run: ({ a, b }) => Number(a) + Number(b),
};
const fail: Tool = {
  name: 'math__fail',
  run: () => {
    throw new Error('out of order');
  },
};
const pay: Tool = { name: 'bank__pay', run: ({ amount }) => ({ paid: amount }) };

async function start(
  reply: Parameters<typeof startModel>[0],
  options: { deps?: TestDeps; config?: Record<string, unknown> } = {},
): Promise<Stack> {
  const model = await startModel(reply);
  const tools = await startToolServer([add, fail, pay]);
  opened.push(model, tools);
  const gateway = await startAgain({ model, tools }, options);
  return { gateway, model, tools };
}

async function startAgain(
  { model, tools }: { model: FarEnd; tools: FarEnd },
  { deps, config }: { deps?: TestDeps; config?: Record<string, unknown> } = {},
): Promise<TestGateway> {
  const gateway = await startGateway({
    ...(deps && { deps }),
    config: { ai_gateway: model.url, mcp_gateway: `${tools.url}/mcp`, ...config },
  });
  opened.push(gateway);
  return gateway;
}

const agent = (rest: Record<string, unknown> = {}, metadata?: unknown) =>
  definitionOf([
    {
      think: {
        call: 'agent',
        with: {
          agent: 'clerk',
          model: 'demo',
          input: '${ .question }',
          tools: ['math__*', 'bank__*'],
          ...rest,
        },
        ...(metadata !== undefined && { metadata }),
      },
    },
  ]);

async function run(
  { gateway }: { gateway: TestGateway },
  definition: unknown = agent(),
  question = 'What is 2 + 3?',
) {
  const { body } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition, input: { question } },
  });
  return body;
}

async function recordsOf(gateway: TestGateway, id: string) {
  const { body } = await gateway.call('GET', `/v1/runs/${id}/events`);
  const lines = String(body)
    .split('\n')
    .filter(line => line.startsWith('data: {'));
  return lines.map(line => JSON.parse(line.slice(6)));
}

const lastText = (body: { messages: readonly { content: string | null }[] }) =>
  body.messages.at(-1)?.content ?? '';
const adds = (...pairs: [number, number][]): Reply => ({
  use: pairs.map(([a, b]) => ({ tool: 'math__add', input: { a, b } })),
});

test('an agent uses tools, several at once, until it answers; every call is in the journal with its cost', async () => {
  const stack = await start((body, turn) =>
    turn === 1 ? adds([2, 3], [4, 5]) : turn === 2 ? adds([10, 1]) : { say: `It is ${lastText(body)}.` },
  );
  const body = await run(stack);
  expect(body).toMatchObject({
    status: 'completed',
    output: { content: 'It is 11.', turns: 3, toolCalls: 3, model: 'demo', finishReason: 'stop' },
    cost: { nano_usd: '3000', unpriced_calls: 0 },
    usage: { input_tokens: 30, output_tokens: 15 },
  });
  const [, second] = stack.model.received.map(each => JSON.parse(each.body));
  expect(second.messages.slice(1)).toEqual([
    expect.objectContaining({ role: 'assistant' }),
    { role: 'tool', tool_call_id: 'call-1-0', content: '5' },
    { role: 'tool', tool_call_id: 'call-1-1', content: '9' },
  ]);
  const events = await recordsOf(stack.gateway, body.id);
  const completed = events.filter(each => each.type === 'call-completed').map(each => each.call);
  expect(completed.sort()).toEqual(['llm-1', 'llm-2', 'llm-3', 'tool-1-0', 'tool-1-1', 'tool-2-0', 'tools']);
  expect(new Set(stack.tools.calls.map(each => each.key)).size).toBe(3);
  await expect.poll(() => stack.tools.openSessions.size, { timeout: 20_000 }).toBe(0); // closed once the end is on disk
});

test('the same agent against the provider simulator, whose model asks for tools by itself', async () => {
  const simulator = await startSimulator();
  const tools = await startToolServer([add]);
  // What ai-gateway does with a call, without the rest of it: puts the provider's key on and hands it over.
  const model = await startFarEnd(async ({ path, body }, response) => {
    const headers = { authorization: 'Bearer sk-provider', 'content-type': 'application/json' };
    const answer = await fetch(`${simulator.url}/openai${path}`, { method: 'POST', headers, body });
    const type = answer.headers.get('content-type') ?? '';
    response.writeHead(answer.status, { 'content-type': type }).end(await answer.text());
  });
  opened.push(simulator, tools, model);
  const gateway = await startAgain({ model, tools });
  const prompt = '[[tools: math__add {"a":40,"b":2} ; math__add {"a":1,"b":1}]] [[say: Done: {{result}}]]';
  const body = await run({ gateway }, agent({ model: 'gpt-4o-mini' }), prompt);
  expect(body).toMatchObject({ status: 'completed', output: { turns: 2, toolCalls: 2 } });
  expect(body.output.content).toContain('42');
  // Nothing said what it cost, and unknown is not zero.
  expect(body.cost).toEqual({ nano_usd: '0', unpriced_calls: 2 });
  expect(body.usage.input_tokens).toBeGreaterThan(10);
});

test.each([false, true])('answers of tools may come as an event stream (%s)', async streams => {
  const stack = await start((body, turn) => (turn === 1 ? adds([2, 3]) : { say: lastText(body) }));
  stack.tools.streams = streams;
  expect(await run(stack)).toMatchObject({ status: 'completed', output: { content: '5' } });
});

test('a model is told its mistakes and goes on: an unknown tool, bad arguments, a tool that fails', async () => {
  const stack = await start((body, turn) => {
    if (turn === 1) {
      const use = [
        { tool: 'nope', input: {} },
        { tool: 'math__add', input: '{broken' },
        { tool: 'math__fail', input: {} },
      ];
      return { use };
    }
    return {
      say: body.messages
        .filter(each => each.role === 'tool')
        .map(each => each.content)
        .join(' | '),
    };
  });
  const body = await run(stack);
  expect(body.output.content).toBe(
    "Error: there is no tool 'nope'. | Error: the arguments are not a JSON object. | Error: Error: out of order",
  );
  expect(stack.tools.calls.map(each => each.name)).toEqual(['math__fail']);
});

test('only tools that the definition allows are offered', async () => {
  const stack = await start(body => ({ say: (body.tools ?? []).map(each => each.function.name).join(',') }));
  expect((await run(stack, agent({ tools: ['math__add'] }))).output.content).toBe('math__add');
  expect((await run(stack, agent({ tools: [] }))).output.content).toBe('');
});

test('an agent that never answers is stopped after its turns', async () => {
  const stack = await start(() => adds([1, 1]));
  const body = await run(stack, agent({ maxTurns: 3 }));
  expect(body).toMatchObject({ status: 'failed', error: { reason: 'agent_turns_exhausted' } });
  expect(stack.model.received).toHaveLength(3);
});

test('[F84] a model that is away for a while is asked again under the same key, and no more often than allowed', async () => {
  const stack = await start((_body, turn) => (turn < 3 ? { status: 503 } : { say: 'Here.' }));
  expect(await run(stack)).toMatchObject({ status: 'completed', output: { content: 'Here.' } });
  const keys = stack.model.received.map(each => each.headers['idempotency-key']);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);

  const down = await start(() => ({ status: 503 }), {
    config: { engine: { call_attempts: 3, first_retry_ms: 5 } },
  });
  const body = await run(down);
  expect(body).toMatchObject({ status: 'failed', error: { reason: 'model_call_refused', status: 503 } });
  expect(down.model.received).toHaveLength(3);
});

test('a refusal that will not change is not tried again', async () => {
  const stack = await start(() => ({ status: 403 }));
  expect(await run(stack)).toMatchObject({
    status: 'failed',
    error: { reason: 'model_call_refused', status: 403 },
  });
  expect(stack.model.received).toHaveLength(1);
});

test.each([
  ['a tool that says it only reads is used again', 'math__add', undefined, 'completed', 2],
  ['a tool that says nothing waits for an operator', 'bank__pay', undefined, 'in_doubt', 1],
  ['unless the definition knows better', 'bank__pay', 'retry', 'completed', 2],
  ['or gives it up', 'bank__pay', 'fail', 'completed', 1],
])('[AG-1] in doubt after a crash: %s', async (_name, tool, onInDoubt, status, times) => {
  const deps = await createTestDeps({ name: 'agent-gateway' });
  opened.push(deps);
  const stack = await start(
    (body, turn) =>
      turn === 1 ? { use: [{ tool, input: { a: 1, b: 2, amount: 3 } }] } : { say: lastText(body) },
    { deps },
  );
  const held = stack.tools.holdNextCall();
  const definition = agent({}, onInDoubt === undefined ? undefined : { gateway: { onInDoubt } });
  const { body: submitted } = await stack.gateway.call('POST', '/v1/runs', {
    body: { definition, input: { question: 'q' } },
  });
  await held;
  await stack.gateway.close();
  const again = await startAgain(stack, { deps });
  const seen = await ends(again, submitted.id, run => run.status === 'in_doubt');
  expect(seen.status).toBe(status);
  expect(stack.tools.calls).toHaveLength(times);
  expect(new Set(stack.tools.calls.map(each => each.key)).size).toBe(1);
  if (status !== 'in_doubt') return;
  expect(seen.in_doubt).toMatchObject([{ task: '/do/0/think', call: 'tool-1-0' }]);
  await again.call('POST', `/v1/runs/${submitted.id}:resolve`, { body: { action: 'retry' } });
  expect(await ends(again, submitted.id)).toMatchObject({
    status: 'completed',
    output: { content: '{"paid":3}' },
  });
});

test('the gateway asks for a tool list when a `call: mcp` is in doubt, and only then', async () => {
  const deps = await createTestDeps({ name: 'agent-gateway' });
  opened.push(deps);
  const stack = await start(() => ({ say: 'never asked' }), { deps });
  const call = (name: string) =>
    definitionOf([
      {
        use: { call: 'mcp', with: { method: 'tools/call', parameters: { name, arguments: { a: 1, b: 1 } } } },
      },
    ]);
  const listed = () => stack.tools.received.filter(each => each.body.includes('"tools/list"')).length;
  const plain = await run(stack, call('math__add'));
  expect(plain.output.content).toEqual([{ type: 'text', text: '2' }]);
  expect(listed()).toBe(0);
  const held = stack.tools.holdNextCall();
  const { body: submitted } = await stack.gateway.call('POST', '/v1/runs', {
    body: { definition: call('math__add') },
  });
  await held;
  await stack.gateway.close();
  const again = await startAgain(stack, { deps });
  expect(await ends(again, submitted.id)).toMatchObject({ status: 'completed' });
  expect(listed()).toBe(1);
});

test('a tool that fails fails its `call: mcp`', async () => {
  const stack = await start(() => ({ say: '' }));
  const body = await run(
    stack,
    definitionOf([
      { use: { call: 'mcp', with: { method: 'tools/call', parameters: { name: 'math__fail' } } } },
    ]),
  );
  expect(body).toMatchObject({
    status: 'failed',
    error: {
      type: 'https://serverlessworkflow.io/spec/1.0.0/errors/runtime',
      reason: 'tool_failed',
      detail: 'Error: out of order',
      instance: '/do/0/use',
    },
  });
});

test('what an MCP server refuses is a runtime error, as the specification says of the MCP call', async () => {
  const stack = await start(() => ({ say: '' }));
  const body = await run(
    stack,
    definitionOf([
      { use: { call: 'mcp', with: { method: 'tools/call', parameters: { name: 'math__nothing' } } } },
    ]),
  );
  expect(body).toMatchObject({
    status: 'failed',
    error: {
      type: 'https://serverlessworkflow.io/spec/1.0.0/errors/runtime',
      reason: 'mcp_error',
      instance: '/do/0/use',
    },
  });
});

test('a session that the gateway forgot is opened again, and the call is made once', async () => {
  const stack = await start((body, turn) => {
    if (turn === 1) stack.tools.forgetSessions();
    return turn === 1 ? adds([2, 3]) : { say: lastText(body) };
  });
  expect(await run(stack)).toMatchObject({ status: 'completed', output: { content: '5' } });
  expect(stack.tools.calls).toHaveLength(1);
});

test('[W7] every call carries an envelope for its receiver, narrowed to this run, task, model and tool, and one trace', async () => {
  const deps = await createTestDeps({ name: 'agent-gateway' });
  opened.push(deps);
  const stack = await start((body, turn) => (turn === 1 ? adds([2, 3]) : { say: lastText(body) }), { deps });
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const { body } = await stack.gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: agent(), input: { question: 'q' } },
    headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
  });
  expect(body).toMatchObject({ status: 'completed', trace_id: traceId });
  const [modelCall] = stack.model.received;
  const [toolCall] = stack.tools.calls;
  const verify = (audience: 'ai-gateway' | 'mcp-gateway', token: unknown) =>
    createEnvelopeVerifier({ audience, keys: deps.envelopeKeys, clock: deps.clock }).verify(String(token));
  const own = {
    issuer: 'agent-gateway',
    tenant: 'default',
    subject: 'tester',
    runId: body.id,
    taskId: '/do/0/think',
    actors: ['agent:clerk', 'workflow:test/flow:1.0.0'],
  };
  expect(await verify('ai-gateway', modelCall?.headers['x-strata-envelope'])).toMatchObject({
    ...own,
    scopes: { ...noScopes, models: ['demo'] },
  });
  expect(await verify('mcp-gateway', toolCall?.envelope)).toMatchObject({
    ...own,
    scopes: { ...noScopes, servers: ['*'], tools: ['math__add'] },
  });
  await expect(verify('mcp-gateway', modelCall?.headers['x-strata-envelope'])).rejects.toMatchObject({
    reason: 'envelope_invalid',
  });
  const spans = deps.telemetry.recentSpans?.ofTrace(traceId) ?? [];
  const parents = new Map(spans.map(span => [span.span_id, span]));
  const chainOf = (name: string) => {
    const names = [];
    let span = spans.find(each => each.name === name);
    while (span !== undefined) {
      names.push(span.name);
      span = parents.get(span.parent_span_id ?? '');
    }
    return names;
  };
  expect(chainOf('tools/call math__add')).toEqual([
    'tools/call math__add',
    'task think',
    'run test/flow:1.0.0',
  ]);
  const sent = [...stack.model.received, ...stack.tools.received].map(each =>
    String(each.headers.traceparent),
  );
  expect(sent.filter(each => !each.includes(traceId))).toEqual([]);
  expect(spans.find(each => each.name === 'chat demo')?.attributes['strata.cost.nano_usd']).toBe('1000');
});

interface Shown {
  readonly status: string;
  readonly ended_at?: string;
  readonly in_doubt?: unknown;
}

async function ends(
  gateway: TestGateway,
  id: string,
  isEnough: (run: Shown) => boolean = () => false,
): Promise<Shown> {
  for (let tries = 0; tries < 500; tries++) {
    const { body } = await gateway.call('GET', `/v1/runs/${id}`);
    if (body.ended_at !== undefined || isEnough(body)) return body;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`Run ${id} did not end`);
}
