import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, startFarEnd } from './support/http-far-end.ts';
import { until } from './support/until.ts';

/** Sagas of which a step cannot be undone: the others are, and whoever looks at the run is told. */

let gateway: TestGateway;
let farEnd: FarEnd;
beforeAll(async () => {
  gateway = await startGateway({ config: { engine: { call_attempts: 1, stop_ms: 500 } } });
  farEnd = await startFarEnd(({ path }, response) => {
    if (path.includes('undo/b')) response.statusCode = 500;
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ path }));
  });
});
afterAll(async () => {
  await gateway.close();
  await farEnd.close();
});

const get = (path: string) => ({ call: 'http', with: { method: 'get', endpoint: `${farEnd.url}/${path}` } });
const step = (name: string) => ({
  [name]: { ...get(name), metadata: { gateway: { compensate: get(`undo/${name}`) } } },
});
const breaks = {
  breaks: { raise: { error: { type: 'https://test.example/broken', status: 500, title: 'B' } } },
};
const errorOfUndo = { status: 500, reason: 'http_call_failed' };

const submit = async (tasks: unknown, waitS: number) =>
  (
    await gateway.call('POST', `/v1/runs?wait=${waitS}`, {
      body: { definition: definitionOf(tasks), input: {} },
    })
  ).body;

const lastEvent = async (id: string) => {
  const { body } = await gateway.call('GET', `/v1/runs/${id}/events?types=run-*`);
  const lines = String(body)
    .split('\n')
    .filter(line => line.startsWith('data: {'));
  return JSON.parse(lines.at(-1)?.slice(6) ?? '{}') as unknown;
};

test('a run whose error was answered says what could not be undone, and undoes the rest', async () => {
  const answered = { kept: { set: { ok: true } } };
  const run = await submit(
    [{ saga: { try: [step('a'), step('b'), step('c'), breaks], catch: { do: [answered] } } }],
    20,
  );
  expect(run).toMatchObject({ status: 'completed', output: { ok: true } });
  const undone = farEnd.received.map(({ path }) => path).filter(path => path.includes('undo'));
  expect(undone).toEqual(['/undo/c', '/undo/b', '/undo/a']);
  expect(run.not_undone).toMatchObject([{ task: '/do/0/saga/try/1/b', error: errorOfUndo }]);
  expect(await lastEvent(run.id)).toMatchObject({
    type: 'run-completed',
    not_undone: [{ task: '/do/0/saga/try/1/b', error: errorOfUndo }],
  });
});

test('so does one that fails, with the error that it failed of, and one that is cancelled', async () => {
  const failed = await submit([step('a'), step('b'), breaks], 20);
  expect(failed).toMatchObject({ status: 'failed', error: { type: 'https://test.example/broken' } });
  expect(failed.not_undone).toMatchObject([{ task: '/do/1/b', error: errorOfUndo }]);

  const { id } = await submit([step('b'), { rest: { wait: { hours: 1 } } }], 0);
  const isAt = async (status: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body.status === status;
  await until(() => isAt('waiting'));
  await gateway.call('POST', `/v1/runs/${id}:cancel`, { body: {} });
  await until(() => isAt('cancelled'));
  const { body: cancelled } = await gateway.call('GET', `/v1/runs/${id}`);
  expect(cancelled.not_undone).toMatchObject([{ task: '/do/0/b', error: errorOfUndo }]);
});

test('a run of which all was undone says nothing of it', async () => {
  const run = await submit([step('a'), breaks], 20);
  expect(run.status).toBe('failed');
  expect(run).not.toHaveProperty('not_undone');
});
