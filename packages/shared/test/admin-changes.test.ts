import { listEntries } from '@strata/shared/audit/audit-query.ts';
import { expect, test } from 'vitest';
import { adminSuite, unique } from './support/admin-suite.ts';

await adminSuite('changes over the admin API', suite => {
  const { keyOf, call, post } = suite;

  test('a change needs the revision it was decided on; of two at once one is made', async () => {
    const team = await post('/teams', { id: unique('team') });
    const path = `/teams/${team.body.id}`;
    const change = (etag: string | undefined, name: string) =>
      call({
        method: 'PATCH',
        path,
        body: { name },
        headers: etag === undefined ? {} : { 'if-match': etag },
      });
    expect((await change(undefined, 'x')).status).toBe(428);
    expect((await change('W/"1"', 'x')).status).toBe(412);
    expect((await change('"7"', 'x')).body.reason).toBe('revision_mismatch');
    const raced = await Promise.all(Array.from({ length: 10 }, (_, index) => change('"1"', `name ${index}`)));
    expect(raced.map(reply => reply.status).sort()).toEqual([200, ...Array(9).fill(412)]);
    const [winner] = raced.filter(reply => reply.status === 200);
    expect((await call({ path })).body.name).toBe(winner?.body.name);
    expect(winner?.etag).toBe('"2"');
  });

  test('a change that is sent again under one `Idempotency-Key` is made once and answered alike', async () => {
    const headers = { 'idempotency-key': unique('once') };
    const body = { name: unique('key'), principal: 'tester' };
    const replies = await Promise.all(Array.from({ length: 12 }, () => post('/keys', body, { headers })));
    const made = replies.filter(reply => reply.status === 201);
    const waiting = replies.filter(reply => reply.status === 409);
    expect(made.length).toBeGreaterThan(0);
    expect(new Set(waiting.map(reply => reply.body.reason)).size).toBeLessThanOrEqual(1);
    expect(new Set(made.map(reply => reply.text)).size).toBe(1);
    const again = await post('/keys', body, { headers });
    expect([again.status, again.text, again.etag]).toEqual([201, made[0]?.text, '"1"']);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    const entries = (await suite.bench.audited()).filter(entry => entry.target?.id === again.body.id);
    expect(entries).toHaveLength(1);

    const other = await post('/keys', { ...body, name: 'other' }, { headers });
    expect(other.body).toMatchObject({ status: 409, reason: 'idempotency_key_reused' });
    const somebody = await post('/keys', body, { headers, key: keyOf('owner') });
    expect(somebody.body.id).not.toBe(again.body.id);
    const invalid = await post('/keys', body, { headers: { 'idempotency-key': 'x'.repeat(256) } });
    expect(invalid.body.reason).toBe('idempotency_key_invalid');
  });

  test('a refused change leaves its `Idempotency-Key` free', async () => {
    const headers = { 'idempotency-key': unique('refused') };
    const id = unique('team');
    await post('/teams', { id });
    expect((await post('/teams', { id }, { headers })).body.reason).toBe('node_exists');
    expect((await post('/teams', { id: unique('team') }, { headers })).status).toBe(201);
  });

  test('[$-1] [I18] what a dead process held of a budget is settled by who knows what it spent; the rest is free again', async () => {
    const { budgetStore, clock } = suite.bench.deps;
    const asked = { subject: 'team:lost', limit_usd: '10', window: { type: 'total' } };
    const id = String((await post('/budgets', asked)).body.id);
    const draws = ['one', 'two'].map(grantId => ({
      budgetId: id,
      grantId: `${id}-${grantId}`,
      atMs: clock.now(),
      need: 2_000_000_000n,
      want: 2_000_000_000n,
    }));
    await budgetStore.draw({ owner: id, leaseUntilMs: clock.now() + 1000, draws });
    await budgetStore.leave(id);
    expect((await call({ path: `/budgets/${id}` })).body).toMatchObject({
      spent_usd: '0.000000000',
      lost_usd: '4.000000000',
    });
    const reconcile = (spent: unknown, { lost = '4', ...more }: { lost?: string; key?: string } = {}) =>
      post(`/budgets/${id}/reconcile`, { lost_usd: lost, spent_usd: spent }, more);
    const tooMuch = await reconcile('4.000000001');
    expect([tooMuch.status, tooMuch.body.reason]).toEqual([409, 'more_than_lost']);
    const seenBefore = await reconcile('1', { lost: '2' }); // one of the two was there still
    expect([seenBefore.status, seenBefore.body.reason]).toEqual([409, 'lost_changed']);
    const unseen = await post(`/budgets/${id}/reconcile`, { spent_usd: '1' });
    expect([unseen.status, unseen.body.param]).toEqual([400, 'lost_usd']);
    expect((await reconcile('some')).status).toBe(400);
    expect((await reconcile('1', { key: keyOf('auditor') })).status).toBe(403);
    expect((await reconcile('1', { key: keyOf('elsewhere') })).status).toBe(404);
    expect((await reconcile('2.5', { key: keyOf('operator') })).body).toMatchObject({
      spent_usd: '2.500000000',
      lost_usd: '0.000000000',
      open_usd: '0.000000000',
    });
    expect((await reconcile('1')).body.reason).toBe('lost_changed'); // it was said already
    expect((await reconcile('0', { lost: '0' })).status).toBe(200);
    const entries = (await suite.bench.audited()).filter(entry => entry.target?.id === id);
    const reconciled = (lost: string, spent: string) => ({
      action: 'budget.reconcile',
      details: { subject: 'team:lost', lost_usd: lost, spent_usd: spent },
    });
    expect(entries).toMatchObject([
      { action: 'budget.create' },
      reconciled('4.000000000', '2.500000000'),
      reconciled('0.000000000', '0.000000000'),
    ]);
  });

  test('[I18] every change is exactly one entry, every refused one none', async () => {
    const adminEntries = async () =>
      (await suite.bench.audited()).filter(entry => entry.category === 'admin').map(entry => entry.action);
    const before = (await adminEntries()).length;
    const id = unique('team');
    await post('/teams', { id });
    await post('/teams', { id });
    await call({
      method: 'PATCH',
      path: `/teams/${id}`,
      body: { disabled: true },
      headers: { 'if-match': '"1"' },
    });
    await call({
      method: 'PATCH',
      path: `/teams/${id}`,
      body: { name: 'x' },
      headers: { 'if-match': '"1"' },
    });
    const budget = await post('/budgets', {
      subject: `team:${id}`,
      limit_usd: '2.50',
      window: { type: 'day' },
    });
    const path = `/budgets/${budget.body.id}`;
    await call({ method: 'PATCH', path, body: { limit_usd: '3' }, headers: { 'if-match': '"1"' } });
    await call({ method: 'DELETE', path, headers: { 'if-match': '"1"' } });
    await call({ method: 'DELETE', path, headers: { 'if-match': '"2"' } });
    await post('/keys', { name: '', principal: 'tester' });
    expect((await adminEntries()).slice(before)).toEqual([
      'team.create',
      'team.change',
      'budget.create',
      'budget.change',
      'budget.delete',
    ]);
  });

  test('a list is read whole, each item once, while others are added', async () => {
    const organisation = unique('pages');
    await post('/organisations', { id: organisation });
    const add = (id: string) => post(`/teams?organisation=${organisation}`, { id });
    const first = Array.from({ length: 25 }, (_, index) => `m-${String(index).padStart(2, '0')}`);
    for (const id of first) await add(id);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const next = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const { body } = await call({ path: `/teams?organisation=${organisation}&limit=4${next}` });
      seen.push(...(body.items as { id: string }[]).map(item => item.id));
      cursor = body.next_cursor as string | undefined;
      await add(`a-${seen.length}`);
      await add(`z-${seen.length}`);
    } while (cursor !== undefined && seen.length < 200);
    expect(new Set(seen).size).toBe(seen.length);
    expect(first.filter(id => !seen.includes(id))).toEqual([]);
  });

  test('a cursor opens in its own list, filter and organisation only', async () => {
    const { body } = await call({ path: '/keys?limit=1' });
    const cursor = encodeURIComponent(String(body.next_cursor));
    expect((await call({ path: `/keys?limit=2&cursor=${cursor}` })).status).toBe(200);
    for (const path of [
      `/teams?cursor=${cursor}`,
      `/keys?principal=tester&cursor=${cursor}`,
      `/keys?organisation=elsewhere&cursor=${cursor}`,
      `/keys?cursor=${cursor.slice(0, -2)}`,
      '/keys?cursor=x',
    ])
      expect((await call({ path })).body.reason, path).toBe('invalid_cursor');
  });

  test.each([
    ['POST', '/keys', { name: 'x' }, 'principal'],
    ['POST', '/keys', { name: 'x', principal: 'y', colour: 'red' }, ''],
    ['POST', '/keys', { name: 'x', principal: 'y', expires_at: 'tomorrow' }, 'expires_at'],
    ['POST', '/budgets', { subject: 'team:a', limit_usd: 5, window: { type: 'day' } }, 'limit_usd'],
    ['POST', '/budgets', { subject: 'planet:a', limit_usd: '5', window: { type: 'day' } }, 'subject'],
    ['POST', '/budgets', { subject: 'run:run_1', limit_usd: '5', window: { type: 'total' } }, 'subject'],
    ['POST', '/keys', { name: 'a\0b', principal: 'y' }, 'name'],
    ['POST', '/keys', { name: 'a', principal: 'y', metadata: { at: { '\0': 1 } } }, 'metadata.at'],
    ['POST', '/policy/explain', { key_id: '\0', kind: 'model', name: 'x' }, 'key_id'],
    ['GET', '/keys/%00', undefined, 'id'],
    ['GET', '/usage?team=%00', undefined, 'team'],
    ['GET', '/keys?organisation=%00', undefined, 'organisation'],
    ['GET', '/keys?limit=0', undefined, 'limit'],
    ['GET', '/keys?colour=red', undefined, ''],
    ['GET', '/usage?by=colour', undefined, 'by'],
    ['GET', '/usage?by=team,team', undefined, 'by'],
    ['GET', '/usage?month=next', undefined, 'month'],
    ['GET', '/usage?month=last&time_zone=Mars', undefined, 'time_zone'],
    ['GET', '/audit?from=yesterday', undefined, 'from'],
  ])('%s %s %j is refused, saying where', async (method, path, body, at) => {
    const reply = await call({ method, path, body });
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(reply.body).toMatchObject({ status: 400, reason: 'admin_request_invalid' });
    expect(reply.body.issues).toMatchObject([{ path: at }]);
  });

  test('[S10] whatever headers claim, what is entered is the address of the socket and the organisation of the key', async () => {
    const id = unique('spoof');
    const claimed = '203.0.113.7';
    const headers = {
      'x-forwarded-for': claimed,
      'x-real-ip': claimed,
      'x-client-ip': claimed,
      'true-client-ip': claimed,
      forwarded: `for=${claimed};by=${claimed}`,
      'x-tenant': 'acme',
      'x-organisation': 'acme',
      'x-strata-tenant': 'acme',
    };
    const made = await call({ method: 'POST', path: '/teams', body: { id }, headers });
    expect(made.body).toMatchObject({ organisation: 'default' });
    const filter = { tenant: 'default', target: `team:${id}` };
    const [entry] = await listEntries(suite.bench.deps.sql.db, filter, { limit: 2, withValues: true });
    expect(entry?.values).toMatchObject({ address: '127.0.0.1' });
    expect(JSON.stringify(entry)).not.toContain(claimed);
  });
});
