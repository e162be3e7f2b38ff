import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

/** `limits` of `POST /v1/runs`: whoever submits may have less than the definition and the configuration give, and never more. */

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ config: { limits: { steps: 30 } } });
});
afterAll(() => gateway.close());

const loop = (limits: object = {}) => {
  const definition = definitionOf([
    { next: { set: { n: '${ (.n // 0) + 1 }' } } },
    { again: { switch: [{ more: { when: '.n < 100', then: 'next' } }] } },
  ]);
  return { ...definition, document: { ...definition.document, metadata: { gateway: { limits } } } };
};
const submit = (body: object, headers: Record<string, string> = {}) =>
  gateway.call('POST', '/v1/runs?wait=20', { body, headers });

async function stepsOf(body: object): Promise<number> {
  const { body: run } = await submit(body);
  expect(run.pause.error, JSON.stringify(run)).toMatchObject({ reason: 'run_limit_reached' });
  const { body: tasks } = await gateway.call('GET', `/v1/runs/${run.id}/tasks`);
  return tasks.tasks.length;
}

test('a submission lowers the limits of its run, and raises none', async () => {
  const whole = await stepsOf({ definition: loop() });
  const lower = await stepsOf({ definition: loop(), limits: { steps: 10 } });
  expect(lower).toBe(whole - 20);
  expect(await stepsOf({ definition: loop(), limits: { steps: 1000 } })).toBe(whole);
  expect(await stepsOf({ definition: loop({ steps: 10 }), limits: { steps: 20 } })).toBe(lower);
});

test('a run with a limit of its own goes on when it is granted more, and the answer says that it does', async () => {
  const short = definitionOf([{ one: { set: { a: 1 } } }, { two: { set: { b: 2 } } }]);
  const { body: run } = await submit({ definition: short, limits: { steps: 1 } });
  expect(run.status).toBe('paused');
  const { body } = await gateway.call('POST', `/v1/runs/${run.id}:resume`, {
    body: { limits: { steps: 5 } },
  });
  expect(['running', 'completed']).toContain(body.status);
  await expect
    .poll(async () => (await gateway.call('GET', `/v1/runs/${run.id}`)).body, { timeout: 20_000 })
    .toMatchObject({ status: 'completed', output: { b: 2 } });
});

test('other limits make another submission of it, and what is no limit is refused', async () => {
  const headers = { 'idempotency-key': 'once' };
  const body = { definition: definitionOf([{ one: { set: { a: 1 } } }]), limits: { steps: 5 } };
  const first = await submit(body, headers);
  expect((await submit(body, headers)).body.id).toBe(first.body.id);
  const other = await submit({ ...body, limits: { steps: 6 } }, headers);
  expect([other.status, other.body.reason]).toEqual([409, 'idempotency_key_reused']);
  for (const limits of [
    { steps: 0 },
    { steps: '5' },
    { value_bytes: 5 },
    { cost_usd: 5 },
    { cost_usd: '-1' },
    [],
  ]) {
    const { status, body: problem } = await submit({ ...body, limits });
    expect([limits, status, problem.reason]).toEqual([limits, 400, 'request_invalid']);
  }
});
