import { afterEach, expect, test } from 'vitest';
import { definitionOf, startGateway } from './support/gateway.ts';
import { startModel } from './support/model.ts';
import { startToolServer } from './support/tool-server.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function start() {
  const model = await startModel((_body, turn) =>
    turn % 2 === 1 ? { use: [{ tool: 'math__add', input: { a: 1, b: 2 } }] } : { say: 'three' },
  );
  const tools = await startToolServer([
    { name: 'math__add', annotations: { readOnlyHint: true }, run: () => 3 },
  ]);
  const gateway = await startGateway({ config: { ai_gateway: model.url, mcp_gateway: `${tools.url}/mcp` } });
  opened.push(model, tools, gateway);
  return gateway;
}

const flow = definitionOf([
  { think: { call: 'agent', with: { model: 'demo', input: 'x', tools: ['*'] } } },
  { both: { fork: { branches: [{ a: { set: { x: 1 } } }, { b: { do: [{ c: { set: { x: 2 } } }] } }] } } },
  { never: { if: 'false', set: { x: 1 } } },
  {
    safe: {
      try: [{ bad: { raise: { error: { type: 'https://x.example/bad', status: 500 } } } }],
      catch: { do: [{ mend: { set: { y: 1 } } }] },
    },
  },
]);

interface Span {
  readonly id: string;
  readonly parent?: string;
  readonly kind: string;
  readonly name: string;
  readonly status: string;
  readonly [more: string]: unknown;
}

test('[AG-5] the timeline has every task, call and their cost, each under what it belongs to', async () => {
  const gateway = await start();
  const { body: run } = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: flow, input: {} },
  });
  expect(run.status).toBe('completed');
  const { body } = await gateway.call('GET', `/v1/runs/${run.id}/timeline`);
  const spans = body.spans as Span[];
  const parents = new Map(spans.map(span => [span.id, span.parent]));
  const named = (name: string) => spans.find(span => span.name === name);
  expect(named('workflow')).toMatchObject({ kind: 'task', status: 'completed' });
  expect(named('think')).toMatchObject({ parent: '#1', status: 'completed' });
  expect(
    spans.filter(span => span.parent === '/do/0/think#1').map(span => [span.kind, span.name, span.status]),
  ).toEqual([
    ['tool', 'tools/list', 'completed'],
    ['model', 'chat demo', 'completed'],
    ['tool', 'tools/call math__add', 'completed'],
    ['model', 'chat demo', 'completed'],
  ]);
  expect(named('chat demo')).toMatchObject({
    attempts: 1,
    cost_nano_usd: '1000',
    usage: { input_tokens: 10, output_tokens: 5 },
    duration_ms: expect.any(Number),
  });
  expect(named('c')).toMatchObject({ parent: '/do/1/both/fork/branches/1/b#1' });
  expect(named('never')).toMatchObject({ status: 'skipped' });
  expect(named('bad')).toMatchObject({ status: 'failed', error: 'raised', parent: '/do/3/safe#1' });
  expect(named('mend')).toMatchObject({ status: 'completed', parent: '/do/3/safe#1' });
  for (const [id, parent] of parents) expect(parent === undefined || parents.has(parent), id).toBe(true);

  const { body: tasks } = await gateway.call('GET', `/v1/runs/${run.id}/tasks`);
  expect(tasks.tasks).toEqual(spans.filter(span => span.kind === 'task'));
  const { body: cost } = await gateway.call('GET', `/v1/runs/${run.id}/cost`);
  expect(cost).toMatchObject({
    nano_usd: '2000',
    unpriced_calls: 0,
    tasks: [
      { task: '/do/0/think', calls: 4, nano_usd: '2000', usage: { input_tokens: 20, output_tokens: 10 } },
    ],
  });
});

test('a run of another tenant has no timeline, like one that is not there', async () => {
  const gateway = await start();
  const key = await gateway.deps.createKey({ tenant: 'other' });
  const { body: run } = await gateway.call('POST', '/v1/runs', { body: { definition: flow } });
  for (const part of ['timeline', 'tasks', 'cost']) {
    const foreign = await gateway.call('GET', `/v1/runs/${run.id}/${part}`, { key });
    const absent = await gateway.call('GET', `/v1/runs/run_none/${part}`, { key });
    expect([foreign.status, foreign.body.reason, absent.status, absent.body.reason]).toEqual([
      404,
      'run_not_found',
      404,
      'run_not_found',
    ]);
  }
});

test('the event stream can be confined to some types, and its ids still say where it is', async () => {
  const gateway = await start();
  const { body: run } = await gateway.call('POST', '/v1/runs?wait=20', { body: { definition: flow } });
  const { body } = await gateway.call('GET', `/v1/runs/${run.id}/events?types=call-completed,run-completed`);
  const types = [...String(body).matchAll(/^event: (.*)$/gm)].map(match => match[1]);
  expect(new Set(types)).toEqual(new Set(['call-completed', 'run-completed']));
  expect(types.at(-1)).toBe('run-completed');
  const last = [...String(body).matchAll(/^id: (.*)$/gm)].at(-1)?.[1];
  const rest = await gateway.call('GET', `/v1/runs/${run.id}/events`, {
    headers: { 'last-event-id': last ?? '' },
  });
  expect(rest.status).toBe(204);
});
