import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOfExport } from '../src/domain/run-export.ts';
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

const stepsOf = async (body: object) => stepsAtRest(gateway, (await submit(body)).body.id);

async function stepsAtRest(of: TestGateway, id: string): Promise<number> {
  const show = async () => (await of.call('GET', `/v1/runs/${id}`)).body;
  await expect.poll(async () => (await show()).status, { timeout: 20_000 }).toBe('paused');
  const run = await show();
  expect(run.pause.error, JSON.stringify(run)).toMatchObject({ reason: 'run_limit_reached' });
  const { body: tasks } = await of.call('GET', `/v1/runs/${id}/tasks`);
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

describe('what goes on with the records of a run that was given less has no more', () => {
  const waitsFirst = () => {
    const { do: tasks, ...rest } = loop();
    const hear = { hear: { listen: { to: { one: { with: { type: 'go' } } } }, output: { as: '${ {} }' } } };
    return { ...rest, do: [hear, ...(tasks as object[])] };
  };
  const go = (of: TestGateway, id: string) => of.call('POST', `/v1/runs/${id}/signals/go`, { body: {} });
  const begin = async (limits: object) => {
    const { body } = await gateway.call('POST', '/v1/runs', { body: { definition: waitsFirst(), limits } });
    await expect
      .poll(async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status, { timeout: 20_000 })
      .toBe('waiting');
    return body.id as string;
  };

  test('a fork, and a fork of that', async () => {
    const source = await begin({ steps: 10 });
    await go(gateway, source);
    const own = await stepsAtRest(gateway, source);
    const fork = async (of: string) =>
      (await gateway.call('POST', `/v1/runs/${of}:fork`, { body: { task: '/do/1/next', visit: 1 } })).body.id;
    const first = await fork(source);
    expect(await stepsAtRest(gateway, first)).toBe(own);
    expect(await stepsAtRest(gateway, await fork(first))).toBe(own);
  });

  test('an import, in which nothing that raises a limit is taken in', async () => {
    const { body: bundle } = await gateway.call('POST', `/v1/runs/${await begin({ steps: 10 })}:export`);
    const elsewhere = await startGateway({ deps: await createTestDeps({ name: 'agent-gateway' }) });
    try {
      for (const lowered of [{ maxSteps: 'x' }, { maxSteps: -1 }, { maxCostNanoUsd: 'x' }, 5, null]) {
        const [{ records, ...run }] = bundle.runs;
        const [{ event, ...first }, ...others] = records;
        const runs = [{ ...run, records: [{ ...first, event: { ...event, lowered } }, ...others] }];
        const changed = { ...bundle, runs };
        const body = { ...changed, digest: digestOfExport(changed) };
        const refused = await elsewhere.call('POST', '/v1/runs:import', { body });
        expect([lowered, refused.status, refused.body.reason]).toEqual([lowered, 400, 'export_invalid']);
      }
      const { body: taken } = await elsewhere.call('POST', '/v1/runs:import', { body: bundle });
      await go(elsewhere, taken.id);
      expect(await stepsAtRest(elsewhere, taken.id)).toBe(
        await stepsOf({ definition: loop(), limits: { steps: 10 } }),
      );
    } finally {
      await elsewhere.close();
      await elsewhere.deps.close();
    }
  });

  test('a run that is resumed, or rewound', async () => {
    const hour = 3_600_000;
    const id = await begin({ run_ms: hour });
    const ask = async (verb: string, status: string, body: object = {}) => {
      expect((await gateway.call('POST', `/v1/runs/${id}:${verb}`, { body })).status).toBeLessThan(300);
      const show = async () => (await gateway.call('GET', `/v1/runs/${id}`)).body.status;
      await expect.poll(show, { timeout: 20_000 }).toBe(status);
    };
    await ask('pause', 'paused');
    await ask('resume', 'waiting');
    await ask('pause', 'paused');
    await ask('resume', 'waiting', { limits: { run_ms: 2 * hour } });
    await ask('terminate', 'terminated');
    await ask('rewind', 'waiting', { task: '/do/0/hear' });
    await ask('terminate', 'terminated');
    const { body: stream } = await gateway.call('GET', `/v1/runs/${id}/events?types=run-resumed,run-rewound`);
    const events = [...String(stream).matchAll(/^data: ?(.*)$/gm)].map(([, data = '']) => JSON.parse(data));
    const hours = events.map(({ at, deadline_at }) => (Date.parse(deadline_at) - Date.parse(at)) / hour);
    expect(hours.map(Math.round)).toEqual([1, 2, 2]);
  });
});
