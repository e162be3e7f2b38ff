import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderMermaid } from '../src/dsl/mermaid.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const routed = definitionOf([
  { ask: { set: { x: 1 } } },
  {
    route: {
      switch: [{ low: { when: '${ .x < 2 }', then: 'again' } }, { other: { then: 'end' } }],
    },
  },
  { inner: { do: [{ a: { set: { y: 2 } } }, { b: { set: { y: 2 }, then: 'exit' } }] } },
  { again: { set: { y: 2 }, then: 'ask' } },
]);

test('the graph shows every task once, the order, the cases of a switch and the lists inside', async () => {
  expect(renderMermaid(routed)).toBe(`flowchart TD
  start((start))
  finish(((end)))
  n0["ask: set"]
  n1{"route: switch"}
  subgraph n2["inner: do"]
    n3["a: set"]
    n4["b: set"]
    n3 --> n4
  end
  n5["again: set"]
  n0 --> n1
  n1 -- "low: #36;#123; .x #lt; 2 #125;" --> n5
  n1 -- "other" --> finish
  n2 --> n5
  n5 --> n0
  start --> n0
`);
});

test('branches, loops and catches have frames of their own', () => {
  const chart = renderMermaid(
    definitionOf([
      { both: { fork: { compete: true, branches: [{ p: { set: {} } }, { q: { wait: 'PT1S' } }] } } },
      { each: { for: { each: 'item', in: '.list' }, do: [{ one: { set: {} } }] } },
      { safe: { try: [{ call: { call: 'http' } }], catch: { do: [{ mend: { set: {} } }] } } },
    ]),
  );
  for (const part of [
    'both: fork, first wins',
    'branch 2',
    'each: for item in .list',
    'call: call http',
    '["catch"]',
  ])
    expect(chart).toContain(part);
  expect(chart.split('\n').filter(line => line.includes('mend'))).toHaveLength(1);
});

test('no name can break out of the picture', () => {
  const chart = renderMermaid(
    definitionOf([{ 'x"]; click n0 "javascript:alert(1)"; %%{init': { set: {} } }]),
  );
  const label = /^ {2}n0\["(.*)"\]$/m.exec(chart)?.[1];
  expect(label).toBeDefined();
  expect(label).not.toMatch(/["[\]{}%]/);
});

test('a stored version is drawn under its name, any document by itself, and a wrong one is explained', async () => {
  expect((await gateway.call('PUT', '/v1/workflows/test/flow/1.0.0', { body: routed })).status).toBe(201);
  const stored = await gateway.call('GET', '/v1/workflows/test/flow/1.0.0:graph');
  expect(stored.headers.get('content-type')).toContain('text/vnd.mermaid');
  expect(stored.body).toBe(renderMermaid(routed));
  expect((await gateway.call('POST', '/v1/workflows:graph', { body: routed })).body).toBe(stored.body);
  expect((await gateway.call('GET', '/v1/workflows/test/none/1.0.0:graph')).status).toBe(404);
  const wrong = await gateway.call('POST', '/v1/workflows:graph', {
    body: definitionOf([{ a: { sett: {} } }]),
  });
  expect([wrong.status, wrong.body.reason]).toEqual([400, 'definition_invalid']);
});

test('a document is validated without being stored', async () => {
  const document = { ...routed, document: { ...routed.document, name: 'unseen' } };
  const { status, body } = await gateway.call('POST', '/v1/workflows:validate', { body: document });
  expect([status, body]).toEqual([
    200,
    expect.objectContaining({
      valid: true,
      name: 'unseen',
      tasks: 6,
      definition: expect.stringMatching(/^sha256:/),
    }),
  ]);
  expect((await gateway.call('GET', '/v1/workflows/test/unseen/1.0.0')).status).toBe(404);
  const wrong = await gateway.call('POST', '/v1/workflows:validate', { body: 'do: 5\n' });
  expect([wrong.status, wrong.body.errors.length > 1]).toEqual([400, true]);
});
