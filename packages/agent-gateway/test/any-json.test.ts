import { sized } from '@strata/shared/testing/size.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { spoiled } from './support/any-json.ts';
import { everyTask } from './support/every-task.ts';
import { type Answer, definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** Any JSON in any place of what is valid: a clear refusal, or a valid value; never a crash. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway.close());

const runs = sized({ ci: 25, soak: 2000 });

function expectClear({ status, headers, body }: Answer, sent: unknown): void {
  const what = `${JSON.stringify(sent)} gave ${status} ${JSON.stringify(body)}`;
  expect(status, what).toBeLessThan(500);
  if (status < 400) return;
  expect(headers.get('content-type'), what).toMatch('application/problem+json');
  expect(body.reason, what).toMatch(/^[a-z_]+$/);
  expect(body.detail, what).not.toMatch(/(?<!received )undefined|\[object|is not a function|Cannot /);
}

const filter = {
  with: { type: 'order', data: '${ .n > 1 }' },
  correlate: { id: { from: '.data.id', expect: 'x' } },
};
const documents = {
  'every task': everyTask,
  'every member': definitionOf(
    [
      {
        rich: {
          if: '.a',
          input: { from: { n: '${ .n }' }, schema: { format: 'json', document: { type: 'object' } } },
          set: { n: 1 },
          output: { as: '.n', schema: { document: { type: 'integer' } } },
          export: { as: { kept: '${ . }' }, schema: { document: {} } },
          timeout: { after: { minutes: 1 } },
          then: 'hear',
          metadata: {
            gateway: { onInDoubt: 'park', compensate: { call: 'f', with: { x: 1 }, timeout: 'short' } },
          },
        },
      },
      {
        hear: {
          listen: { to: { any: [filter], until: { one: filter } }, read: 'envelope' },
          foreach: { item: 'x', at: 'i', do: [{ a: { wait: 'PT1S' } }], output: { as: '.' } },
        },
      },
      {
        get: {
          call: 'http',
          with: {
            method: 'get',
            endpoint: { uri: 'http://x.example/{a}', authentication: { use: 'o' } },
            headers: { a: 'b' },
            query: { a: '${ .b }' },
            body: { c: [1] },
            output: 'response',
            redirect: true,
          },
        },
      },
      {
        ask: {
          call: 'human',
          with: {
            title: 't',
            description: 'd',
            content: { a: 1 },
            form: { type: 'object' },
            assignees: ['*'],
            deadline: 'PT1H',
            escalation: { after: 'PT1M', to: ['x'] },
          },
        },
      },
      { f: { call: 'f', with: { x: '${ .y }' } } },
    ],
    {
      document: {
        dsl: '1.0.3',
        namespace: 'test',
        name: 'flow',
        version: '1.0.0',
        title: 't',
        summary: 's',
        tags: { a: 'b' },
        metadata: {
          gateway: {
            limits: { steps: 1, wallClock: 'PT1H', costUsd: '1' },
            concurrency: { key: '${ .a }', limit: 2 },
            priority: 3,
            retention: 'P1D',
          },
        },
      },
      timeout: 'short',
      input: { from: '.', schema: { document: {} } },
      output: { as: '.' },
      schedule: { on: { any: [{ with: filter.with }] } },
      evaluate: { language: 'jq', mode: 'strict' },
      use: {
        secrets: ['s'],
        timeouts: { short: { after: 'PT1S' } },
        retries: { r: { delay: 'PT1S', backoff: { exponential: {} }, limit: { attempt: { count: 1 } } } },
        errors: { e: { type: 'https://x.example/e', status: 400, title: 't', detail: 'd' } },
        authentications: {
          o: {
            oauth2: {
              authority: 'http://x.example',
              grant: 'client_credentials',
              client: { id: 'a', secret: '${ $secrets.s }' },
            },
          },
        },
        functions: { f: { try: [{ a: { raise: { error: 'e' } } }], catch: { as: 'x', retry: 'r' } } },
        extensions: [{ l: { extend: 'all', when: '.a', before: [{ b: { set: { c: 1 } } }], after: [] } }],
      },
    },
  ),
};

test.each(Object.entries(documents))('a document: %s', async (_name, valid) => {
  const whole = await gateway.call('POST', '/v1/workflows:validate', { body: valid });
  expect(whole.status, JSON.stringify(whole.body)).toBe(200);
  await fc.assert(
    fc.asyncProperty(spoiled(valid), fc.boolean(), async (document, asYaml) => {
      const body = asYaml ? stringify(document) : document;
      const answer = await gateway.call('POST', '/v1/workflows:validate', { body });
      expectClear(answer, document);
      for (const mistake of answer.status === 400 ? (answer.body.errors ?? []) : []) {
        expect(mistake.pointer, JSON.stringify(mistake)).toMatch(/^(\/.*)?$/s);
        expect(mistake.message).not.toMatch(/(?<!received )undefined|\[object/);
        if (asYaml) expect(mistake.line, JSON.stringify(mistake)).toBeGreaterThan(0);
      }
      const graph = await gateway.call('POST', '/v1/workflows:graph', { body });
      expectClear(graph, document);
    }),
    { numRuns: runs * 3 },
  );
});

test('every request body', async () => {
  const waiting = definitionOf([{ a: { set: { n: 1 } } }, { hear: { listen: { to: { any: [] } } } }]);
  const submitted = await gateway.call('POST', '/v1/runs', { body: { definition: waiting } });
  const ended = await gateway.call('POST', '/v1/runs?wait=20', {
    body: { definition: definitionOf([{ a: { set: { n: 1 } } }]) },
  });
  const exported = await gateway.call('POST', '/v1/runs', { body: { definition: waiting } });
  await gateway.call('POST', `/v1/runs/${exported.body.id}:pause`);
  const bundle = await gateway.call('POST', `/v1/runs/${exported.body.id}:export`);
  expect(bundle.status).toBe(200);
  const id = submitted.body.id as string;
  const workflow = { namespace: 'test', name: 'flow', version: '1.0.0' };
  await gateway.call('PUT', '/v1/workflows/test/flow/1.0.0', { body: waiting });
  const bodies: readonly [method: string, path: string, body: unknown][] = [
    ['POST', '/v1/runs', { workflow, input: { n: 1 } }],
    ['POST', '/v1/runs', { workflow: 'test/flow@1.0.0', input: { n: 1 } }],
    ['POST', `/v1/runs/${id}:resume`, { limits: { steps: 1, run_ms: 1, cost_usd: '1' } }],
    ['POST', `/v1/runs/${id}:resolve`, { action: 'complete', call: 'a', task: '/do/0/a', result: 1 }],
    ['POST', `/v1/runs/${id}:fork`, { task: '/do/0/a', visit: 1, workflow: 'test/flow@1.0.0' }],
    ['POST', `/v1/runs/${id}:migrate?dryRun=true`, { definition: waiting }],
    ['POST', `/v1/runs/${ended.body.id}:rewind`, { task: '/do/0/a', visit: 1 }],
    ['POST', `/v1/runs/${ended.body.id}:cancel`, { reason: 'x' }],
    ['POST', `/v1/runs/${id}/signals/s`, { id: '1', data: { a: 1 } }],
    [
      'POST',
      '/v1/events',
      {
        specversion: '1.0',
        id: '1',
        source: 'https://x.example',
        type: 't',
        time: '2026-01-01T00:00:00Z',
        data: { a: [1] },
        extension: 'x',
      },
    ],
    ['PUT', '/v1/schedules/s', { workflow, input: {}, cron: '0 0 1 1 *', time_zone: 'UTC', overlap: 'skip' }],
    ['PUT', '/v1/schedules/s', { workflow, every: { hours: 1 }, catch_up: 'last', paused: true }],
    ['PUT', '/v1/schedules/s', { workflow, on: { any: [{ with: filter.with }] } }],
    ['POST', '/v1/schedules/s:backfill', { from: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' }],
    ['PUT', '/v1/queues/k', { limit: 1, paused: false }],
    ['POST', '/v1/webhooks', { url: 'https://x.example/hook', types: ['strata.*'], description: 'd' }],
    ['POST', '/v1/approvals/none:decide', { decision: 'approved', digest: 'x', comment: 'c', data: {} }],
    ['POST', '/v1/runs:import', bundle.body],
  ];
  for (const [method, path, valid] of bodies) {
    await fc.assert(
      fc.asyncProperty(spoiled(valid), async body => {
        if (body === undefined || typeof body === 'string') return;
        expectClear(await gateway.call(method, path, { body }), { method, path, body });
      }),
      { numRuns: runs },
    );
  }
});

test('every query and every path', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('-1', '1e9', '0', 'NaN', '%', '\u0000', '..', '[]', "'", 'a\nb', 'AAAA', '9'.repeat(30)),
  );
  const routes = [
    (value: string) => `/v1/runs?limit=${value}`,
    (value: string) => `/v1/runs?cursor=${value}`,
    (value: string) => `/v1/runs?status=${value}`,
    (value: string) => `/v1/runs/${value}`,
    (value: string) => `/v1/runs/${value}/events?after=${value}&types=${value}`,
    (value: string) => `/v1/runs/${value}/timeline`,
    (value: string) => `/v1/workflows?cursor=${value}`,
    (value: string) => `/v1/workflows/${value}/${value}/${value}`,
    (value: string) => `/v1/schedules?cursor=${value}`,
    (value: string) => `/v1/schedules/${value}`,
    (value: string) => `/v1/queues/${value}`,
    (value: string) => `/v1/approvals?cursor=${value}&status=${value}`,
    (value: string) => `/v1/approvals/${value}`,
    (value: string) => `/v1/webhooks?cursor=${value}`,
    (value: string) => `/v1/webhooks/${value}/dead-letters?cursor=${value}`,
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...routes), text, async (route, value) => {
      const path = route(encodeURIComponent(value.toWellFormed()));
      expectClear(await gateway.call('GET', path), path);
    }),
    { numRuns: runs * 6 },
  );
});
