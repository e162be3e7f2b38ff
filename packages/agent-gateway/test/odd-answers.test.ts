import type { ServerResponse } from 'node:http';
import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { spoiled } from './support/any-json.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, type Received, startFarEnd } from './support/http-far-end.ts';

/** Any JSON in any place of what models and tools answer: the run goes on or fails with a reason, and nothing else is harmed. */

type Answer = (request: Received, response: ServerResponse) => void;

const opened: { close(): Promise<void> }[] = [];
let gateway: TestGateway;
let model: FarEnd;
let answerModel: Answer;
let answerTool: (method: string) => unknown;

beforeAll(async () => {
  model = await startFarEnd((request, response) => answerModel(request, response));
  const tools = await startFarEnd((request, response) => {
    if (request.method !== 'POST') return void response.writeHead(200).end();
    const { id, method } = JSON.parse(request.body) as { id?: number; method: string };
    if (id === undefined) return void response.writeHead(202).end();
    response.setHeader('mcp-session-id', 's').setHeader('content-type', 'application/json');
    const body = answerTool(method);
    response.end(
      typeof body === 'string' ? body : JSON.stringify({ jsonrpc: '2.0', id, ...(body as object) }),
    );
  });
  opened.push(model, tools);
  gateway = await startGateway({
    config: {
      ai_gateway: model.url,
      mcp_gateway: `${tools.url}/mcp`,
      engine: { first_retry_ms: 1, call_attempts: 2, stop_ms: 500 },
    },
  });
  opened.push(gateway);
});
afterAll(async () => {
  for (const each of opened.reverse()) await each.close();
});

const tool = { name: 'look', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } };
const goodTool = (method: string): { result: unknown } => {
  switch (method) {
    case 'initialize':
      return { result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: {} } };
    case 'tools/list':
      return { result: { tools: [tool] } };
    default:
      return { result: { content: [{ type: 'text', text: 'seen' }], structuredContent: { seen: true } } };
  }
};

const wanted = { id: 'c1', type: 'function', function: { name: 'look', arguments: '{"a":1}' } };
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const whole = (message: object, finish_reason = 'stop') => ({
  id: 'x',
  model: 'demo',
  choices: [{ index: 0, finish_reason, message: { role: 'assistant', content: null, ...message } }],
  usage,
});
const events = [
  { id: 'x', model: 'demo', choices: [{ index: 0, delta: { role: 'assistant', content: 'a' } }] },
  { id: 'x', model: 'demo', choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...wanted }] } }] },
  { id: 'x', model: 'demo', choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
  { id: 'x', model: 'demo', choices: [], usage },
];

const sendWhole = (response: ServerResponse, body: unknown) =>
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
const sendEvents = (response: ServerResponse, list: readonly unknown[]) => {
  response.setHeader('content-type', 'text/event-stream');
  response.end(`${list.map(each => `data: ${JSON.stringify(each)}\n\n`).join('')}data: [DONE]\n\n`);
};

const agent = definitionOf([
  { think: { call: 'agent', with: { model: 'demo', input: '?', tools: ['*'], maxTurns: 3 } } },
]);

async function expectAnEnd(odd: unknown) {
  const { status, body } = await gateway.call('POST', '/v1/runs?wait=30', { body: { definition: agent } });
  const what = `${JSON.stringify(odd)} gave ${JSON.stringify(body)}`;
  expect(status, what).toBe(200);
  expect(['completed', 'failed'], what).toContain(body.status);
  if (body.status === 'failed') {
    expect(body.error.reason, what).toMatch(/^(model|mcp|agent|value|tool)_/);
    expect(body.error.detail, what).not.toMatch(/undefined|\[object|Cannot /);
  }
  return body;
}

const runs = sized({ ci: 60, soak: 5000 });
/** After one odd answer the model is itself again. */
const thenGood = (odd: (response: ServerResponse) => void): Answer => {
  let turn = 0;
  return (_request, response) =>
    ++turn === 1 ? odd(response) : sendWhole(response, whole({ content: 'done' }));
};

test('what a model answers, in one piece and as a stream', async () => {
  answerTool = goodTool;
  const oddWhole = spoiled(whole({ content: 'a', tool_calls: [wanted] }, 'tool_calls'));
  await fc.assert(
    fc.asyncProperty(oddWhole, async body => {
      answerModel = thenGood(response => sendWhole(response, body));
      await expectAnEnd(body);
    }),
    { numRuns: runs },
  );
  await fc.assert(
    fc.asyncProperty(spoiled(events), async list => {
      answerModel = thenGood(response => sendEvents(response, Array.isArray(list) ? list : [list]));
      await expectAnEnd(list);
    }),
    { numRuns: runs },
  );
});

test.each(['initialize', 'tools/list', 'tools/call'])('what a tool server answers to %s', async wrong => {
  await fc.assert(
    fc.asyncProperty(spoiled(goodTool(wrong)), async odd => {
      answerTool = method => (method === wrong ? odd : goodTool(method));
      let turn = 0;
      answerModel = (_request, response) =>
        sendWhole(response, whole(++turn === 1 ? { tool_calls: [wanted] } : { content: 'done' }));
      await expectAnEnd(odd);
    }),
    { numRuns: runs },
  );
});

test.each<[string, object, RegExp | undefined]>([
  ['nothing', {}, undefined],
  ['an empty text', { content: '' }, undefined],
  ['a refusal', { refusal: 'I will not do that.' }, undefined],
  ['two calls with one id', { tool_calls: [wanted, wanted] }, undefined],
  ['a call without an id', { tool_calls: [{ ...wanted, id: undefined }] }, undefined],
  [
    'a tool that is not there',
    { tool_calls: [{ ...wanted, function: { name: 'fly', arguments: '{}' } }] },
    undefined,
  ],
  [
    'arguments that are no object',
    { tool_calls: [{ ...wanted, function: { name: 'look', arguments: '[1]' } }] },
    undefined,
  ],
  ['more than may be recorded', { content: 'x'.repeat(5_000_000) }, /too_large|value_too_large/],
])('a model that answers with %s', async (_name, message, reason) => {
  answerTool = goodTool;
  const asked: { messages: { role: string; tool_call_id?: string; content: string }[] }[] = [];
  let turn = 0;
  answerModel = (request, response) => {
    asked.push(JSON.parse(request.body));
    sendWhole(response, whole(++turn === 1 ? message : { content: 'done' }));
  };
  const body = (await gateway.call('POST', '/v1/runs?wait=30', { body: { definition: agent } })).body;
  if (reason !== undefined) {
    expect(body.error.reason).toMatch(reason);
    return;
  }
  expect(body.status, JSON.stringify(body)).toBe('completed');
  if ('refusal' in message) expect(body.output.content).toBe('I will not do that.');
  const ids = (asked[1]?.messages ?? []).filter(each => each.role === 'tool').map(each => each.tool_call_id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).not.toContain('');
});

test.each([
  ['not JSON', 'Service busy'],
  ['JSON that breaks off', '{"choices": [{'],
  ['another page', '<html></html>'],
])(
  'a model that answers with %s is asked again, and then the task fails as the model did',
  async (_name, text) => {
    answerTool = goodTool;
    answerModel = (_request, response) => response.setHeader('content-type', 'application/json').end(text);
    const body = await expectAnEnd(text);
    expect(body).toMatchObject({ status: 'failed', error: { reason: 'model_answer_malformed' } });
  },
);
