import { createHash } from 'node:crypto';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { openOwnTables } from '@strata/shared/stores/own-tables.ts';
import type { SharedSchema } from '@strata/shared/stores/shared-schema.ts';
import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Expected } from '../src/domain/expected.ts';
import { type ItemSchema, itemMigrations } from '../src/store/item-schema.ts';
import { createItems } from '../src/store/items.ts';
import { stores } from './support/both-stores.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** What outlives runs: values by name, and bytes by hash. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await openTestPostgres();
});
afterAll(() => postgres.close());

describe.each(stores)('%s', store => {
  let gateway: TestGateway;
  beforeAll(async () => {
    const config = store === 'SQLite' ? {} : { store: { url: await postgres.server.createDatabase() } };
    gateway = await startGateway({
      deps: await createTestDeps({ name: 'agent-gateway', config }),
      config: {
        stored: {
          items_per_tenant: 40,
          item_bytes_per_tenant: 4000,
          artifacts_per_tenant: 3,
          artifact_bytes_per_tenant: 3_000_000,
        },
        limits: { value_bytes: 2000 },
      },
    });
  });
  afterAll(async () => {
    await gateway.close();
    await gateway.deps.close();
  });

  const put = (key: string, value: unknown, headers: Record<string, string> = {}, more: object = {}) =>
    gateway.call('PUT', `/v1/store/notes/${encodeURIComponent(key)}`, { body: { value, ...more }, headers });
  const get = (key: string, options = {}) =>
    gateway.call('GET', `/v1/store/notes/${encodeURIComponent(key)}`, options);

  test('any JSON under any name is given back as it was, with who wrote it and when', async () => {
    for (const [key, value] of Object.entries({
      'a/b c:ü': { x: [1, null, 'ü'] },
      none: null,
      no: false,
      text: '',
    })) {
      const made = await put(key, value);
      expect([made.status, made.body], key).toEqual([201, (await get(key)).body]);
      expect(made.body).toMatchObject({ namespace: 'notes', key, value, principal: 'tester' });
      expect(made.headers.get('etag')).toBe(`"${made.body.revision}"`);
      expect((await put(key, 'other')).status).toBe(200);
      expect((await get(key)).body).toMatchObject({ value: 'other', created_at: made.body.created_at });
      expect((await gateway.call('DELETE', `/v1/store/notes/${encodeURIComponent(key)}`)).status).toBe(204);
      expect((await get(key)).body.reason).toBe('item_not_found');
    }
  });

  test('a change under `If-Match` is made to the revision that was read, or not at all', async () => {
    const first = await put('shared', { n: 0 }, { 'if-none-match': '*' });
    const etag = String(first.headers.get('etag'));
    expect((await put('shared', {}, { 'if-none-match': '*' })).body.reason).toBe('revision_mismatch');
    const answers = await Promise.all([1, 2, 3, 4, 5].map(n => put('shared', { n }, { 'if-match': etag })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412]);
    const winner = answers.find(({ status }) => status === 200);
    expect((await get('shared')).body.value).toEqual(winner?.body.value);
    const gone = (headers: Record<string, string>) =>
      gateway.call('DELETE', '/v1/store/notes/shared', { headers });
    expect((await gone({ 'if-match': etag })).status).toBe(412);
    expect((await gone({ 'if-match': '"x"' })).body.reason).toBe('if_match_invalid');
    expect((await gone({ 'if-match': '*' })).status).toBe(204);
    const again = await put('shared', 1);
    expect(again.headers.get('etag'), 'made anew it is no earlier revision').not.toBe(etag);
    expect((await put('nothing', 1, { 'if-match': '*' })).status).toBe(412);
    const blind = await Promise.all([1, 2, 3, 4].map(n => put('raced', n)));
    expect(
      blind.every(({ status }) => status < 300),
      'without a condition nobody is refused',
    ).toBe(true);
    for (let round = 0; round < 10; round++) {
      const remove = () => gateway.call('DELETE', '/v1/store/notes/raced');
      const removed = Promise.all([remove(), remove(), remove()]);
      await Promise.all([1, 2, 3].map(n => put('raced', n)));
      for (const { status } of await removed) expect([204, 404]).toContain(status);
    }
    await gateway.call('DELETE', '/v1/store/notes/raced');
  });

  test('what has expired is not there, and others stay', async () => {
    await put('short', 1, {}, { ttl_ms: 1 });
    await put('long', 1, {}, { ttl_ms: 3_600_000 });
    await expect.poll(async () => (await get('short')).status, { timeout: 10_000 }).toBe(404);
    expect((await get('long')).body).toHaveProperty('expires_at');
    expect((await put('short', 2, { 'if-none-match': '*' })).status).toBe(201);
    await gateway.call('DELETE', '/v1/store/notes/short');
  });

  test('they are listed by namespace and beginning of the key', async () => {
    for (const key of ['p_1', 'p_2', 'pX3', 'P_4', 'p%5']) await put(key, key);
    const keys = async (query: string) =>
      (await gateway.call('GET', `/v1/store?${query}`)).body.items.map(({ key }: { key: string }) => key);
    expect((await keys('namespace=notes&prefix=p_')).sort()).toEqual(['p_1', 'p_2']);
    expect(await keys(`namespace=notes&prefix=${encodeURIComponent('p%')}`)).toEqual(['p%5']);
    expect(await keys('namespace=else')).toEqual([]);
    expect((await keys('limit=3')).length).toBe(3);
    const { value, ...summary } = (await get('p_1')).body;
    expect(value).toBe('p_1');
    const { body } = await gateway.call('GET', '/v1/store?prefix=p_1');
    expect(body.items, 'names without values').toEqual([summary]);
  });

  test('a list goes on where a page ended, whatever the names are made of', async () => {
    const namespace = '間'.repeat(200);
    const names = ['a', 'ä', '漢'.repeat(200), '字', '🙂', 'z'].sort();
    const path = (key: string) => `/v1/store/${encodeURIComponent(namespace)}/${encodeURIComponent(key)}`;
    for (const key of names)
      expect((await gateway.call('PUT', path(key), { body: { value: 1 } })).status).toBe(201);
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const query = new URLSearchParams({ namespace, limit: '2', ...(cursor !== undefined && { cursor }) });
      const { status, body } = await gateway.call('GET', `/v1/store?${query}`);
      expect(status, JSON.stringify(body)).toBe(200);
      found.push(...body.items.map(({ key }: { key: string }) => key));
      cursor = body.next_cursor;
    } while (cursor !== undefined);
    expect(found.toSorted()).toEqual(names);
    for (const key of names) await gateway.call('DELETE', path(key));
  });

  test('[S-1] whoever may use no workflows of that name finds nothing there and puts nothing there', async () => {
    await put('mine', 1);
    const scopes = { ...noScopes, workflows: ['notes/other'] };
    const narrow = await gateway.deps.createKey({ principal: 'narrow', scopes });
    expect((await get('mine', { key: narrow })).body.reason).toBe('item_not_found');
    expect((await gateway.call('DELETE', '/v1/store/notes/mine', { key: narrow })).status).toBe(404);
    const written = await gateway.call('PUT', '/v1/store/notes/mine', { key: narrow, body: { value: 2 } });
    expect(written.body.reason).toBe('workflow_not_allowed');
    expect(
      (await gateway.call('PUT', '/v1/store/notes/other', { key: narrow, body: { value: 2 } })).status,
    ).toBe(201);
    const { body } = await gateway.call('GET', '/v1/store', { key: narrow });
    expect(body.items.map(({ key }: { key: string }) => key)).toEqual(['other']);
  });

  test('a tenant has as much as it may; another one is not concerned', async () => {
    expect((await put('large', 'x'.repeat(2001))).body.reason).toBe('value_too_large');
    expect((await put('half', 'x'.repeat(1900))).status).toBe(201);
    expect((await put('half', 'y'.repeat(1900))).status).toBe(200);
    expect((await put('rest', 'x'.repeat(1990))).status).toBe(201);
    expect((await put('more', 'x'.repeat(1990))).body.reason).toBe('store_full');
    const stranger = await gateway.deps.createKey({ tenant: 'other', principal: 'stranger' });
    const theirs = await gateway.call('PUT', '/v1/store/notes/more', { key: stranger, body: { value: 1 } });
    expect(theirs.status).toBe(201);
    for (const key of ['half', 'rest']) await gateway.call('DELETE', `/v1/store/notes/${key}`);
    expect((await put('more', 1)).status).toBe(201);
  });

  test('what is no item is refused', async () => {
    for (const body of [{}, { value: 1, more: 1 }, { value: 1, ttl_ms: 0 }, { value: 1, ttl_ms: '5' }, []])
      expect((await gateway.call('PUT', '/v1/store/notes/bad', { body })).status).toBe(400);
    for (const path of ['/v1/store/notes/%00', `/v1/store/notes/${'x'.repeat(201)}`, '/v1/store/%0a/x'])
      expect([path, (await gateway.call('PUT', path, { body: { value: 1 } })).status]).toEqual([path, 400]);
    expect((await gateway.call('GET', '/v1/store?cursor=%00%01')).status).toBeLessThan(500);
  });

  test('expired rows are removed, so many at a time', async () => {
    const own = await openOwnTables<ItemSchema, SharedSchema>(
      gateway.deps.sql,
      [itemMigrations],
      gateway.deps.clock,
    );
    const items = createItems(own);
    const any: { readonly expected: Expected; readonly room: { most: number; mostBytes: number } } = {
      expected: { type: 'any' },
      room: { most: 99, mostBytes: 9999 },
    };
    for (const [key, expiresAtMs] of [
      ['a', 10],
      ['b', 20],
      ['c', undefined],
    ] as const)
      for (const isNew of [true, false]) {
        const item = {
          tenant: 'old',
          namespace: 'n',
          key,
          value: 1,
          expiresAtMs,
          updatedAtMs: 1,
          principal: 'p',
        };
        expect(await items.put(item, any), 'also within one millisecond').toMatchObject({ isNew });
      }
    expect(await items.removeExpired({ nowMs: 9, limit: 10 })).toBe(0);
    expect(await items.removeExpired({ nowMs: 30, limit: 1 })).toBe(1);
    expect(await items.removeExpired({ nowMs: 30, limit: 10 })).toBe(1);
    expect((await items.get({ tenant: 'old', namespace: 'n', key: 'c' }, 30))?.value).toBe(1);
  });

  test('bytes are kept once under their SHA-256 and given back as they came, to the organisation alone', async () => {
    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    const hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const headers = { authorization: `Bearer ${gateway.deps.userKey}` };
    const send = (body: Buffer, type = 'image/png') =>
      fetch(`${gateway.url}/v1/artifacts`, {
        method: 'POST',
        headers: { ...headers, 'content-type': type },
        body,
      });
    const made = await send(bytes);
    expect([made.status, await made.json()]).toMatchObject([
      201,
      { hash, bytes: 5, media_type: 'image/png' },
    ]);
    expect((await send(bytes, 'text/html')).status).toBe(200);
    const found = await fetch(`${gateway.url}/v1/artifacts/${hash}`, { headers });
    expect(Buffer.from(await found.arrayBuffer())).toEqual(bytes);
    expect(Object.fromEntries(found.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
    });
    const stranger = await gateway.deps.createKey({ tenant: 'other', principal: 'stranger' });
    expect((await gateway.call('GET', `/v1/artifacts/${hash}`, { key: stranger })).body.reason).toBe(
      'artifact_not_found',
    );
    expect((await gateway.call('DELETE', `/v1/artifacts/${hash}`, { key: stranger })).status).toBe(404);
    expect((await send(Buffer.from('a'))).status).toBe(201);
    expect((await send(Buffer.alloc(0))).status, 'nothing is something').toBe(201);
    const full = await send(Buffer.from('b'));
    expect([full.status, ((await full.json()) as { reason: string }).reason]).toEqual([
      409,
      'artifacts_full',
    ]);
    expect((await gateway.call('GET', '/v1/artifacts')).body.artifacts.length).toBe(3);
    const narrow = { scopes: { ...noScopes, workflows: ['notes/*'] } };
    const [colleague, same] = [
      await gateway.deps.createKey({ ...narrow, principal: 'colleague' }),
      await gateway.deps.createKey(narrow),
    ];
    const refused = await gateway.call('DELETE', `/v1/artifacts/${hash}`, { key: colleague });
    expect([refused.status, refused.body.reason]).toEqual([403, 'workflow_not_allowed']);
    expect((await gateway.call('DELETE', `/v1/artifacts/${hash}`, { key: same })).status).toBe(204);
    expect((await send(Buffer.from('b'))).status).toBe(201);
    expect((await send(Buffer.from('x'), 'application/x-sh')).status).toBe(415);
    expect((await gateway.call('GET', '/v1/artifacts/sha256:1')).status).toBe(400);
  });
});
