import { noScopes } from '@strata/shared/identity/scopes.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stores } from './support/both-stores.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** Runs that follow one another and share a context. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres.close());

/** Adds what it is given to what the thread has, and says what it found. */
const remembers = definitionOf([
  {
    note: {
      set: { found: '${ $context }', said: '${ .said }' },
      export: { as: '${ { notes: (($context.notes // []) + [.said]) } }' },
    },
  },
]);
const waits = definitionOf([
  { hear: { listen: { to: { one: { with: { type: 'go' } } } } } },
  { over: { set: { done: true }, export: { as: '${ { notes: ["waited"] } }' } } },
]);

describe.each(stores)('%s', store => {
  let gateway: TestGateway;
  beforeAll(async () => {
    const config = store === 'SQLite' ? {} : { store: { url: await postgres.server.createDatabase() } };
    const deps = await createTestDeps({ name: 'agent-gateway', config });
    gateway = await startGateway({ deps, config: { stored: { threads_per_tenant: 12 } } });
  });
  afterAll(async () => {
    await gateway.close();
    await gateway.deps.close();
  });

  const open = async (body: object = {}, key?: string) => {
    const made = await gateway.call('POST', '/v1/threads', { body, ...(key !== undefined && { key }) });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    return made.body as { id: string };
  };
  const show = async (id: string) => (await gateway.call('GET', `/v1/threads/${id}`)).body;
  const run = (thread: string, body: object, headers: Record<string, string> = {}, wait = 20) =>
    gateway.call('POST', `/v1/runs?wait=${wait}`, { body: { thread, ...body }, headers });
  const remember = (thread: string, said: string) => run(thread, { definition: remembers, input: { said } });

  test('a run begins with what the one before has left, and only if that has completed', async () => {
    const { id } = await open({ metadata: { for: 'ada' }, context: { notes: ['first'] } });
    const one = await remember(id, 'a');
    expect(one.body).toMatchObject({ thread: id, output: { found: { notes: ['first'] } } });
    await run(id, {
      definition: definitionOf([
        { lost: { set: { x: 1 }, export: { as: '${ { notes: ["lost"] } }' } } },
        { fail: { raise: { error: { type: 'https://example.com/no', status: 500 } } } },
      ]),
    });
    const two = await remember(id, 'b');
    expect(two.body.output.found).toEqual({ notes: ['first', 'a'] });
    expect(await show(id)).toMatchObject({
      status: 'idle',
      context: { notes: ['first', 'a', 'b'] },
      metadata: { for: 'ada' },
    });
    const { body } = await gateway.call('GET', `/v1/threads/${id}/runs`);
    expect(body.runs.map(({ status }: { status: string }) => status)).toEqual([
      'completed',
      'failed',
      'completed',
    ]);
    expect(body.runs[0].id).toBe(two.body.id);
  });

  test('one run at a time: of those who submit at once one gets it, the others are told which', async () => {
    const { id } = await open();
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => run(id, { definition: waits }, {}, 0)));
    const taken = answers.filter(({ status }) => status === 202);
    expect(taken.length).toBe(1);
    expect(new Set(answers.filter(({ status }) => status !== 202).map(({ body }) => body.reason))).toEqual(
      new Set(['thread_is_busy']),
    );
    const running = taken[0]?.body.id;
    expect(await show(id)).toMatchObject({ status: 'busy', run: running });
    const change = (body: object) => gateway.call('PATCH', `/v1/threads/${id}`, { body });
    expect((await change({ context: 1 })).body.reason).toBe('thread_is_busy');
    expect((await change({ metadata: { a: 1 } })).body.metadata).toEqual({ a: 1 });
    expect((await gateway.call('DELETE', `/v1/threads/${id}`)).body.reason).toBe('thread_is_busy');
    await gateway.call('POST', `/v1/runs/${running}/signals/go`, { body: {} });
    await expect.poll(async () => (await show(id)).status, { timeout: 20_000 }).toBe('idle');
    expect((await show(id)).context).toEqual({ notes: ['waited'] });
  });

  test('a run that is submitted again under its key is the same run, also while it goes on', async () => {
    const { id } = await open();
    const headers = { 'idempotency-key': `in ${store}`.replace(' ', '-') };
    const first = await run(id, { definition: waits }, headers, 0);
    const again = await run(id, { definition: waits }, headers, 0);
    expect([again.status, again.body.id]).toEqual([202, first.body.id]);
    const other = await run((await open()).id, { definition: waits }, headers, 0);
    expect(other.body.reason).toBe('idempotency_key_reused');
    await gateway.call('POST', `/v1/runs/${first.body.id}:terminate`, { body: {} });
    expect(await show(id)).toMatchObject({ status: 'idle', context: null });
    expect((await gateway.call('DELETE', `/v1/threads/${id}`)).status).toBe(204);
    const later = await run(id, { definition: waits }, headers, 0);
    expect([later.status, later.body.id], 'also when the thread is gone').toEqual([200, first.body.id]);
  });

  test('of those who submit the same at once under one key each gets the one run', async () => {
    const { id } = await open();
    const headers = { 'idempotency-key': `at-once-${store}` };
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => run(id, { definition: waits }, headers, 0)));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.filter(({ headers: given }) => given.has('idempotency-replayed')).length).toBe(4);
    await gateway.call('POST', `/v1/runs/${answers[0]?.body.id}:terminate`, { body: {} });
  });

  test('whoever changes its metadata meanwhile stands in the way of nobody', async () => {
    const { id } = await open({ namespace: 'else' });
    const scopes = { ...noScopes, workflows: ['else/*'] };
    const narrow = await gateway.deps.createKey({ principal: 'narrow', scopes });
    const patch = (n: number) =>
      gateway.call('PATCH', `/v1/threads/${id}`, { body: { metadata: { [`n${n}`]: n } } });
    for (let round = 0; round < 5; round++) {
      const changes = Promise.all([1, 2, 3].map(patch));
      expect((await remember(id, `${round}`)).body.status).toBe('completed');
      expect((await changes).map(({ status }) => status)).toEqual([200, 200, 200]);
      const body = { thread: id, definition: remembers };
      const [refused] = await Promise.all([
        gateway.call('POST', '/v1/runs', { key: narrow, body }),
        ...[1, 2, 3].map(patch),
      ]);
      expect(refused.body.reason).toBe('workflow_not_allowed');
      expect(await show(id), 'a refused submission leaves it free').toMatchObject({ status: 'idle' });
    }
    const { body } = await gateway.call('GET', `/v1/threads/${id}/runs`);
    expect(body.runs.length).toBe(5);
    expect((await gateway.call('DELETE', `/v1/threads/${id}`)).status).toBe(204);
  });

  test('a list says how they stand, without what is in them', async () => {
    const idle = await open({ metadata: { a: 1 }, context: { large: 'x'.repeat(1000) } });
    const used = await open();
    await remember(used.id, 'a');
    const { body } = await gateway.call('GET', '/v1/threads?limit=200');
    const listed = (id: string) => body.threads.find((each: { id: string }) => each.id === id);
    for (const { id } of [idle, used]) {
      const { metadata: _about, context: _context, ...summary } = await show(id);
      expect(listed(id)).toEqual(summary);
    }
    expect(listed(used.id)).toMatchObject({ status: 'idle' });
  });

  test('a submission that is refused leaves the thread free', async () => {
    const { id } = await open();
    const tooLarge = await run(id, { definition: remembers, input: 'x'.repeat(2 * 1024 * 1024) });
    expect(tooLarge.body.reason).toBe('value_too_large');
    expect((await remember(id, 'a')).body.status).toBe('completed');
  });

  test('a fork begins with what the run began with, and leaves the thread alone', async () => {
    const { id } = await open({ context: { notes: ['first'] } });
    const { body: source } = await remember(id, 'a');
    const fork = await gateway.call('POST', `/v1/runs/${source.id}:fork`, { body: { task: '/do/0/note' } });
    await expect
      .poll(async () => (await gateway.call('GET', `/v1/runs/${fork.body.id}`)).body.output, {
        timeout: 20_000,
      })
      .toEqual({ found: { notes: ['first'] }, said: 'a' });
    expect((await show(id)).context).toEqual({ notes: ['first', 'a'] });
  });

  test('a run that goes on after its end leaves nothing there, whoever has looked', async () => {
    const { id } = await open({ context: { notes: ['before'] } });
    const { body } = await run(id, { definition: waits }, {}, 0);
    const ask = (verb: string, asked: object = {}) =>
      gateway.call('POST', `/v1/runs/${body.id}${verb}`, { body: asked });
    const statusOf = async () => (await gateway.call('GET', `/v1/runs/${body.id}`)).body.status;
    await expect.poll(statusOf, { timeout: 20_000 }).toBe('waiting');
    await ask(':terminate');
    await expect.poll(statusOf, { timeout: 20_000 }).toBe('terminated');
    expect((await ask(':rewind', { task: '/do/0/hear' })).status).toBeLessThan(300);
    await expect.poll(statusOf, { timeout: 20_000 }).toBe('waiting');
    await ask('/signals/go');
    await expect.poll(statusOf, { timeout: 20_000 }).toBe('completed');
    expect(await show(id)).toMatchObject({ status: 'idle', context: { notes: ['before'] } });
  });

  test('a run that goes on elsewhere, or from an earlier task, has what it began with and leaves its thread alone', async () => {
    const { id } = await open({ context: { notes: ['before'] } });
    const hear = {
      hear: { listen: { to: { one: { with: { type: 'go' } } } }, output: { as: '${ { said: "it" } }' } },
    };
    const [note] = remembers.do as object[];
    const { body: source } = await run(id, { definition: definitionOf([hear, note]) }, {}, 0);
    const reach = async (of: string, status: string) => {
      const showRun = async () => (await gateway.call('GET', `/v1/runs/${of}`)).body;
      await expect.poll(async () => (await showRun()).status, { timeout: 20_000 }).toBe(status);
      return showRun();
    };
    await reach(source.id, 'waiting');
    const { body: bundle } = await gateway.call('POST', `/v1/runs/${source.id}:export`);
    expect(await show(id), 'somebody else may use it').toMatchObject({ status: 'idle' });
    const { body: taken } = await gateway.call('POST', '/v1/runs:import', { body: bundle });
    await reach(taken.id, 'waiting');
    await gateway.call('POST', `/v1/runs/${taken.id}/signals/go`, { body: {} });
    const found = { output: { found: { notes: ['before'] } } };
    expect(await reach(taken.id, 'completed')).toMatchObject(found);
    const rewound = await gateway.call('POST', `/v1/runs/${taken.id}:rewind`, {
      body: { task: '/do/1/note' },
    });
    expect(rewound.status).toBeLessThan(300);
    expect(await reach(taken.id, 'completed')).toMatchObject(found);
    expect(await show(id)).toMatchObject({ status: 'idle', context: { notes: ['before'] } });
  });

  test('changes under `If-Match` are made to what was read', async () => {
    const { id } = await open();
    const read = await gateway.call('GET', `/v1/threads/${id}`);
    const etag = String(read.headers.get('etag'));
    const change = (headers: Record<string, string>) =>
      gateway.call('PATCH', `/v1/threads/${id}`, { body: { context: [1] }, headers });
    expect((await change({ 'if-match': etag })).body.context).toEqual([1]);
    expect((await change({ 'if-match': etag })).body.reason).toBe('revision_mismatch');
    const gone = (headers: Record<string, string>) =>
      gateway.call('DELETE', `/v1/threads/${id}`, { headers });
    expect((await gone({ 'if-match': etag })).status).toBe(412);
    expect((await gone({})).status).toBe(204);
    expect((await run(id, { definition: remembers })).body.reason).toBe('thread_not_found');
  });

  test('[S-1] it is for those who may use workflows of its namespace, and there are as many as may be', async () => {
    const { id } = await open({ namespace: 'test' });
    const scopes = { ...noScopes, workflows: ['else/*'] };
    const narrow = await gateway.deps.createKey({ principal: 'narrow', scopes });
    expect((await gateway.call('GET', `/v1/threads/${id}`, { key: narrow })).body.reason).toBe(
      'thread_not_found',
    );
    for (const [method, path, body] of [
      ['PATCH', '', { metadata: {} }],
      ['DELETE', '', undefined],
      ['GET', '/runs', undefined],
    ] as const) {
      const answer = await gateway.call(method, `/v1/threads/${id}${path}`, { key: narrow, body });
      expect([method, answer.body.reason]).toEqual([method, 'thread_not_found']);
    }
    const refused = await gateway.call('POST', '/v1/threads', { key: narrow, body: { namespace: 'test' } });
    expect(refused.body.reason).toBe('workflow_not_allowed');
    expect((await gateway.call('GET', '/v1/threads', { key: narrow })).body.threads).toEqual([]);
    await open({ namespace: 'else' }, narrow);
    let last = 0;
    for (let n = 0; n < 12 && last !== 409; n++)
      last = (await gateway.call('POST', '/v1/threads', { body: {} })).status;
    expect(last).toBe(409);
  });
});

test('what a run has left is taken over before the run is removed, whoever is there then', async () => {
  const deps = await createTestDeps({ name: 'agent-gateway' });
  const before = await startGateway({ deps });
  const { body: thread } = await before.call('POST', '/v1/threads', { body: {} });
  const body = { thread: thread.id, definition: remembers, input: { said: 'kept' } };
  const { body: run } = await before.call('POST', '/v1/runs?wait=20', { body });
  expect(run.status).toBe('completed');
  await before.close();
  const after = await startGateway({ deps, config: { journal: { keep_ended_ms: 1 } } });
  await expect
    .poll(async () => (await after.call('GET', `/v1/runs/${run.id}`)).status, { timeout: 30_000 })
    .toBe(404);
  expect((await after.call('GET', `/v1/threads/${thread.id}`)).body.context).toEqual({ notes: ['kept'] });
  await after.close();
  await deps.close();
});
