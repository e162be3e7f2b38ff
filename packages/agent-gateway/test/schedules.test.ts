import { noScopes } from '@strata/shared/identity/scopes.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { duePlan, type Recurrence, timesBetween } from '../src/domain/schedule.ts';
import { cronProblem, nextTime } from '../src/dsl/next-time.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';

const at = (text: string) => Date.parse(text);
const everyMinute: Recurrence = { type: 'every', everyMs: 60_000, fromMs: 0 };

describe('when a schedule is due', () => {
  test('cron in its time zone, through the change to summer time and back', () => {
    const nightly: Recurrence = { type: 'cron', expression: '30 4 * * *', timeZone: 'Europe/Berlin' };
    expect(nextTime(nightly, at('2026-03-28T12:00:00Z'))).toBe(at('2026-03-29T02:30:00Z'));
    expect(nextTime(nightly, at('2026-10-24T12:00:00Z'))).toBe(at('2026-10-25T03:30:00Z'));
  });

  test('a wrong expression or zone is explained', () => {
    expect(cronProblem('0 0 * * *', 'UTC')).toBeUndefined();
    expect(cronProblem('61 * * * *', 'UTC')).toMatch(/minute/);
    expect(cronProblem('* * *', 'UTC')).toMatch(/five, six/);
    expect(cronProblem('* * * * *', 'Nowhere/Land')).toMatch(/timezone/i);
    expect(cronProblem('0 0 30 2 *', 'UTC')).toMatch(/never/);
  });

  test('times that passed while nobody looked: all, the last, or none', () => {
    const missed = { recurrence: everyMinute, nextAtMs: 60_000 };
    expect(duePlan({ ...missed, catchUp: 'all' }, 300_500, nextTime)).toEqual({
      runAtMs: 60_000,
      nextAtMs: 120_000,
    });
    expect(duePlan({ ...missed, catchUp: 'last' }, 300_500, nextTime)).toEqual({
      runAtMs: 300_000,
      nextAtMs: 360_000,
    });
    expect(duePlan({ ...missed, catchUp: 'none' }, 300_500, nextTime)).toEqual({
      runAtMs: undefined,
      nextAtMs: 360_000,
    });
    expect(duePlan({ ...missed, catchUp: 'none' }, 60_500, nextTime)).toEqual({
      runAtMs: 60_000,
      nextAtMs: 120_000,
    });
  });

  test('the times are the same whoever asks, and from wherever', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 5_000_000 }),
        fc.integer({ min: 0, max: 1_000_000 }),
        fc.integer({ min: 0, max: 10_000_000 }),
        (everyMs, fromMs, afterMs) => {
          const recurrence: Recurrence = { type: 'every', everyMs, fromMs };
          const next = nextTime(recurrence, afterMs) ?? 0;
          expect(next).toBeGreaterThan(Math.max(afterMs, fromMs - 1));
          expect((next - fromMs) % everyMs).toBe(0);
          expect(next - Math.max(afterMs, fromMs - everyMs)).toBeLessThanOrEqual(everyMs);
          const span = { fromMs: next, untilMs: next + 3 * everyMs, limit: 10 };
          expect(timesBetween(recurrence, span, nextTime)).toEqual(
            [0, 1, 2, 3].map(index => next + index * everyMs),
          );
        },
      ),
    );
  });
});

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
  for (const [name, tasks] of [
    ['quick', [{ a: { set: { done: true } } }]],
    ['slow', [{ a: { wait: 'PT1H' } }]],
  ] as const) {
    const body = definitionOf(tasks, {
      document: { dsl: '1.0.3', namespace: 'test', name, version: '1.0.0' },
    });
    expect((await gateway.call('PUT', `/v1/workflows/test/${name}/1.0.0`, { body })).status).toBe(201);
  }
});
afterAll(() => gateway.close());

const workflow = (name: string) => ({ namespace: 'test', name, version: '1.0.0' });
const put = (name: string, body: unknown, key?: string) =>
  gateway.call('PUT', `/v1/schedules/${name}`, { body, ...(key !== undefined && { key }) });

async function runsOf(name: string): Promise<{ id: string; status: string }[]> {
  const { body } = await gateway.call('GET', '/v1/runs?limit=200');
  return body.runs.filter((run: { workflow: { name: string } }) => run.workflow.name === name);
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise(resolve => setTimeout(resolve, 50)); // looks again; nothing is decided by the time
  }
}

test('the workflow is named as it is for a run, in one text or in its parts', async () => {
  const nightly = { cron: '0 3 * * *' };
  const { namespace, name, version } = workflow('quick');
  const made = await put('named', { ...nightly, workflow: `${namespace}/${name}@${version}` });
  expect([made.status, made.body.workflow]).toEqual([201, { namespace, name, version }]);
  expect((await put('named', { ...nightly, workflow: 'quick' })).status).toBe(400);
});

test('a schedule starts runs by itself, until it is paused', async () => {
  const made = await put('often', {
    workflow: workflow('quick'),
    input: { n: 1 },
    every: { seconds: 1 },
    overlap: 'allow',
  });
  expect([made.status, made.body]).toEqual([
    201,
    expect.objectContaining({
      name: 'often',
      paused: false,
      overlap: 'allow',
      principal: 'tester',
      next_at: expect.any(String),
    }),
  ]);
  const first = await until(async () =>
    (await runsOf('quick')).length > 1 ? await runsOf('quick') : undefined,
  );
  expect(new Set(first.map(run => run.id)).size).toBe(first.length);
  const { body: paused } = await gateway.call('POST', '/v1/schedules/often:pause', { body: {} });
  expect(paused).toMatchObject({ paused: true });
  expect(paused.next_at).toBeUndefined();
  expect((await gateway.call('POST', '/v1/schedules/often:resume', { body: {} })).body.next_at).toBeDefined();
  expect((await gateway.call('DELETE', '/v1/schedules/often')).status).toBe(204);
  expect((await gateway.call('GET', '/v1/schedules/often')).body.reason).toBe('schedule_not_found');
});

test('while the run before goes on the next one is skipped, unless the schedule says otherwise', async () => {
  await put('skipping', { workflow: workflow('slow'), every: { seconds: 1 } });
  const [run] = await until(async () =>
    (await runsOf('slow')).length > 0 ? await runsOf('slow') : undefined,
  );
  const passed = async () => {
    const { body } = await gateway.call('GET', '/v1/schedules/skipping');
    return body.next_at as string;
  };
  const before = await passed();
  await until(async () => ((await passed()) > before ? true : undefined));
  expect((await runsOf('slow')).map(each => each.id)).toEqual([run?.id]);
  await put('skipping', { workflow: workflow('slow'), every: { seconds: 1 }, overlap: 'cancel' });
  await until(async () => {
    const old = (await runsOf('slow')).find(each => each.id === run?.id);
    return old?.status === 'cancelled' ? true : undefined;
  });
  await gateway.call('DELETE', '/v1/schedules/skipping');
});

test('what was missed is made good for a span, each due time once', async () => {
  await put('nightly', { workflow: workflow('quick'), cron: '0 3 * * *', time_zone: 'Europe/Berlin' });
  const span = { from: '2026-01-01T00:00:00Z', until: '2026-01-03T23:00:00Z' };
  const first = await gateway.call('POST', '/v1/schedules/nightly:backfill', { body: span });
  expect(first.body.runs).toHaveLength(3);
  const again = await gateway.call('POST', '/v1/schedules/nightly:backfill', { body: span });
  expect(again.body).toEqual(first.body);
  const tooMuch = await gateway.call('POST', '/v1/schedules/nightly:backfill', {
    body: { ...span, until: '2026-09-01T00:00:00Z' },
  });
  expect([tooMuch.status, tooMuch.body.reason]).toEqual([413, 'backfill_too_large']);
  const now = await gateway.call('POST', '/v1/schedules/nightly:trigger', { body: {} });
  expect(now.body.runs).toHaveLength(1);
});

test('what is wrong is said, and what may not be seen is not there', async () => {
  for (const body of [
    { workflow: workflow('quick') },
    { workflow: workflow('quick'), cron: '* * * * *', every: 'PT1M' },
    { workflow: workflow('quick'), cron: 'never' },
    { workflow: workflow('quick'), every: 'PT0.1S' },
    { workflow: workflow('quick'), cron: '* * * * *', time_zone: 'Mars/Base' },
  ]) {
    const { status, body: problem } = await put('wrong', body);
    expect([status, problem.reason], JSON.stringify(body)).toEqual([400, 'request_invalid']);
  }
  await put('mine', { workflow: workflow('quick'), cron: '0 0 1 1 *' });
  for (const key of [
    await gateway.deps.createKey({ tenant: 'other' }),
    await gateway.deps.createKey({ scopes: { ...noScopes, workflows: ['else/*'] } }),
  ]) {
    expect((await gateway.call('GET', '/v1/schedules', { key })).body.schedules).toEqual([]);
    const foreign = await gateway.call('GET', '/v1/schedules/mine', { key });
    const absent = await gateway.call('GET', '/v1/schedules/none', { key });
    expect([foreign.status, foreign.body.detail]).toEqual([absent.status, absent.body.detail]);
  }
});

test('a schedule whose workflow is gone is paused instead of being tried for ever', async () => {
  await put('lost', { workflow: workflow('nowhere'), every: { seconds: 1 } });
  await until(async () => ((await gateway.call('GET', '/v1/schedules/lost')).body.paused ? true : undefined));
});

test('a stored workflow brings the schedule of its document with it; a new version takes it over', async () => {
  const document = (version: string, schedule: unknown) =>
    definitionOf([{ a: { set: { x: 1 } } }], {
      document: { dsl: '1.0.3', namespace: 'test', name: 'report', version },
      schedule,
    });
  const store = (version: string, schedule: unknown) =>
    gateway.call('PUT', `/v1/workflows/test/report/${version}`, { body: document(version, schedule) });
  expect((await store('1.0.0', { cron: '0 6 * * 1' })).status).toBe(201);
  const first = await gateway.call('GET', '/v1/schedules/test.report');
  expect(first.body).toMatchObject({
    cron: '0 6 * * 1',
    time_zone: 'UTC',
    overlap: 'skip',
    workflow: { version: '1.0.0' },
  });
  expect((await store('1.1.0', { every: { hours: 2 } })).status).toBe(201);
  const second = await gateway.call('GET', '/v1/schedules/test.report');
  expect(second.body).toMatchObject({
    every: { milliseconds: 7_200_000 },
    overlap: 'allow',
    workflow: { version: '1.1.0' },
  });
  const wrong = await store('1.2.0', { cron: '99 * * * *' });
  expect([wrong.status, wrong.body.errors[0].pointer]).toEqual([400, '/schedule/cron']);
});

test('an event starts a run with it, once, for every schedule whose filter lets it through', async () => {
  const publish = (id: string, data: unknown, type = 'heartbeat.low', key?: string) =>
    gateway.call('POST', '/v1/events', {
      body: { specversion: '1.0', id, source: 'https://ward.example', type, data },
      ...(key !== undefined && { key }),
    });
  const store = (name: string, schedule: unknown) =>
    gateway.call('PUT', `/v1/workflows/test/${name}/1.0.0`, {
      body: definitionOf([{ note: { set: { low: '${ $workflow.input[0].data.bpm }' } } }], {
        document: { dsl: '1.0.3', namespace: 'test', name, version: '1.0.0' },
        schedule,
      }),
    });
  const filter = { with: { type: 'heartbeat.low', data: '${ .bpm < 40 }' } };
  expect((await store('nurse', { on: { one: filter } })).status).toBe(201);
  expect((await gateway.call('GET', '/v1/schedules/test.nurse')).body).toMatchObject({
    on: { one: filter },
    overlap: 'allow',
  });
  const wrong = await store('wrong', { on: { any: [{ with: { type: '${ .[ }' } }] } });
  expect([wrong.status, wrong.body.errors[0].pointer]).toEqual([400, '/schedule/on/any/0/with/type']);
  expect((await gateway.call('GET', '/v1/workflows/test/wrong/1.0.0')).status).toBe(404);
  const several = await store('several', { on: { any: [filter], until: '${ true }' } });
  expect([several.status, several.body.errors[0].pointer]).toEqual([400, '/schedule/on/until']);

  await publish('e1', { bpm: 30 });
  await publish('e1', { bpm: 30 }); // the same event again
  await publish('e2', { bpm: 60 }); // the filter says no
  await publish('e3', { bpm: 20 }, 'temperature.low');
  await publish('e4', { bpm: 35 }, 'heartbeat.low', await gateway.deps.createKey({ tenant: 'other' }));
  await publish('e5', { bpm: 25 });
  const runs = await until(async () => {
    const found = await runsOf('nurse');
    return found.length >= 2 && found.every(({ status }) => status === 'completed') ? found : undefined;
  });
  const outputs = await Promise.all(
    runs.map(async ({ id }) => (await gateway.call('GET', `/v1/runs/${id}`)).body.output.low),
  );
  expect(outputs.sort()).toEqual([25, 30]);

  await gateway.call('POST', '/v1/schedules/test.nurse:pause', { body: {} });
  await publish('e6', { bpm: 10 });
  await put('after-pause', { workflow: workflow('quick'), on: { any: [filter, { with: { type: 'go' } }] } });
  await publish('e7', { bpm: 90 }, 'go');
  await until(async () =>
    (await gateway.call('GET', '/v1/schedules/after-pause')).body.last_run ? true : undefined,
  );
  expect(await runsOf('nurse')).toHaveLength(2);
  await gateway.call('DELETE', '/v1/schedules/after-pause');
  const queued = await put('queued', { workflow: workflow('quick'), on: { one: filter }, overlap: 'queue' });
  expect([queued.status, queued.body.reason]).toEqual([400, 'request_invalid']);
  const backfill = await gateway.call('POST', '/v1/schedules/test.nurse:backfill', {
    body: { from: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' },
  });
  expect([backfill.status, backfill.body.reason]).toEqual([409, 'schedule_without_times']);
});

test('events that belong together start one run when there is one for each filter, whatever order they come in', async () => {
  const publish = (id: string, type: string, data: object) =>
    gateway.call('POST', '/v1/events', {
      body: { specversion: '1.0', id, source: 'https://home.example', type, data },
    });
  const reading = (type: string) => ({ with: { type }, correlate: { room: { from: '.data.room' } } });
  const stored = await gateway.call('PUT', '/v1/workflows/test/rooms/1.0.0', {
    body: definitionOf([{ note: { set: { seen: '${ [$workflow.input[].id] }' } } }], {
      document: { dsl: '1.0.3', namespace: 'test', name: 'rooms', version: '1.0.0' },
      schedule: { on: { all: [reading('warmth'), reading('damp'), { with: { type: 'door' } }] } },
    }),
  });
  expect(stored.status, JSON.stringify(stored.body)).toBe(201);
  await publish('d1', 'damp', { room: 1 });
  await publish('d2', 'damp', { room: 2 });
  await publish('none', 'damp', {});
  await publish('w2', 'warmth', { room: 2 });
  await publish('w2b', 'warmth', { room: 2 });
  await publish('w2b', 'warmth', { room: 2 }); // the same event again
  await publish('open1', 'door', {}); // belongs to whatever waits longest
  await publish('w1', 'warmth', { room: 1 });
  await publish('open2', 'door', {});
  const runs = await until(async () => {
    const found = await runsOf('rooms');
    return found.length >= 2 && found.every(({ status }) => status === 'completed') ? found : undefined;
  });
  const outputs = await Promise.all(
    runs.map(async ({ id }) => (await gateway.call('GET', `/v1/runs/${id}`)).body.output.seen.join(' ')),
  );
  expect(outputs.sort()).toEqual(['w1 d1 open1', 'w2 d2 open2']);
});

test('a run begins so long after the one before has ended', async () => {
  await put('again', { workflow: workflow('quick'), after: { milliseconds: 300 } });
  expect((await gateway.call('GET', '/v1/schedules/again')).body).toMatchObject({
    after: { milliseconds: 300 },
  });
  const shown = async () =>
    (await gateway.call('GET', '/v1/schedules/again')).body.last_run as string | undefined;
  const first = await until(shown);
  const second = await until(async () => {
    const last = await shown();
    return last !== first ? last : undefined;
  });
  await gateway.call('DELETE', '/v1/schedules/again');
  const at = async (id: string) => (await gateway.call('GET', `/v1/runs/${id}`)).body;
  const [one, two] = [await at(first), await at(second)];
  expect(Date.parse(two.created_at) - Date.parse(one.ended_at)).toBeGreaterThanOrEqual(300);
});
