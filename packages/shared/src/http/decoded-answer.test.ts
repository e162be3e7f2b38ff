import { text } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import type { Plan } from '../testing/fake-upstream/plan.ts';
import { compressionBombPlan } from '../testing/fake-upstream/plans.ts';
import { startFakeUpstream } from '../testing/fake-upstream.ts';
import { createDialer } from './dialer.ts';
import { networkSection } from './network-section.ts';
import { createOrigin } from './origin.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function dial(plan: Plan, signal: AbortSignal = new AbortController().signal) {
  const upstream = await startFakeUpstream({ plan });
  closers.push(() => upstream.close());
  const dialer = createDialer({ config: networkSection.parse({}), clock: systemClock });
  closers.push(() => dialer.close());
  const origin = createOrigin({ name: 'up', url: upstream.url, allowPrivate: true });
  const ask = () => dialer.request(origin, { method: 'GET', path: '/', headers: {}, signal });
  return { upstream, ask, response: await ask() };
}

const told = JSON.stringify({ error: { message: 'Grüße', code: 'context_length_exceeded' } });
const answer = (encoding: string, bytes: Buffer): Plan => [
  { op: 'status', status: 400 },
  {
    op: 'headers',
    headers: { 'content-encoding': encoding, 'content-length': String(bytes.length), 'x-kept': '1' },
  },
  ...(bytes.length > 0 ? [{ op: 'write', bytes } as const] : []),
];

test.each([
  ['gzip', gzipSync(told)],
  ['GZip', gzipSync(told)],
  ['x-gzip', gzipSync(told)],
  ['deflate', deflateSync(told)],
  ['br', brotliCompressSync(told)],
  ['zstd', zstdCompressSync(told)],
])('%s: read as what it was, whole and as a stream', async (encoding, bytes) => {
  const { response, ask } = await dial(answer(encoding, bytes));
  expect([response.status, response.headers['x-kept']]).toEqual([400, '1']);
  expect(response.headers).not.toHaveProperty('content-encoding');
  expect(response.headers).not.toHaveProperty('content-length');
  expect((await response.readAll(1000)).toString()).toBe(told);
  expect(await text((await ask()).body)).toBe(told);
});

test.each(['gzip', 'deflate', 'br', 'zstd'])('%s of nothing is nothing', async encoding => {
  const { response } = await dial(answer(encoding, Buffer.alloc(0)));
  expect((await response.readAll(1000)).toString()).toBe('');
});

const maxBytes = 16_000;
const refused = { kind: 'upstream_failed', reason: 'upstream_encoding_refused' };

test.each([
  ['no gzip at all', answer('gzip', Buffer.from(told)), refused],
  ['gzip without its end', answer('gzip', gzipSync(told).subarray(0, 30)), refused],
  ['no brotli at all', answer('br', Buffer.from(told)), refused],
  ['no zstd at all', answer('zstd', Buffer.from(told)), refused],
  [
    'more than was asked for',
    answer('gzip', gzipSync('0123456789'.repeat(2000))),
    { kind: 'upstream_failed', reason: 'upstream_answer_too_large' },
  ],
  [
    'an answer that breaks',
    [
      { op: 'headers', headers: { 'content-encoding': 'gzip', 'content-length': '1000' } },
      { op: 'write', bytes: gzipSync(told) },
      { op: 'rst' },
    ] satisfies Plan,
    { kind: 'upstream_failed', reason: 'upstream_reset' },
  ],
])('%s', async (_what, plan, expected) => {
  const { response, upstream } = await dial(plan);
  await expect(response.readAll(maxBytes)).rejects.toMatchObject(expected);
  await (await upstream.requestReceived(1)).until(each => each.end !== undefined);
});

test.each(['gzip', 'br'] as const)('[F32] a bomb of %s is given up as soon as it grows', async encoding => {
  const { response } = await dial(compressionBombPlan(50_000_000, encoding));
  let bytes = 0;
  const read = async () => {
    for await (const chunk of response.body) bytes += chunk.length;
  };
  await expect(read()).rejects.toMatchObject(refused);
  expect(bytes).toBeLessThan(2 * 1024 ** 2);
});

test('what was flushed comes at once, and a reader that leaves takes the connection with it', async () => {
  const bytes = gzipSync('data: 1\n\n', { finishFlush: 2 }); // Z_SYNC_FLUSH: the end is still to come
  const { response, upstream } = await dial([
    { op: 'headers', headers: { 'content-encoding': 'gzip' } },
    { op: 'write', bytes },
    { op: 'stall' },
  ]);
  for await (const chunk of response.body) {
    expect(String(chunk)).toBe('data: 1\n\n');
    break;
  }
  await upstream.allConnectionsClosed();
});

test('a call that is given up ends with the reason of its signal', async () => {
  const gone = new AbortController();
  const { response, upstream } = await dial(
    [{ op: 'headers', headers: { 'content-encoding': 'br' } }, { op: 'stall' }],
    gone.signal,
  );
  const read = response.readAll(1000);
  gone.abort(new Error('gone'));
  await expect(read).rejects.toThrow('gone');
  await upstream.allConnectionsClosed();
});
