import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Plan, PlanSource } from '../testing/fake-upstream/plan.ts';
import {
  chunkExtensionPlan,
  compressionBombPlan,
  jsonPlan,
  rawPlan,
  slicedStreamPlan,
  stackedEncodingsPlan,
  wrongLengthPlan,
} from '../testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '../testing/fake-upstream.ts';
import { createDialer, type Dialer, type DialRequest } from './dialer.ts';
import { networkSection } from './network-section.ts';
import { createOrigin, type Origin } from './origin.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function open(config: Record<string, unknown> = {}): Dialer {
  const dialer = createDialer({ config: networkSection.parse(config), clock: systemClock });
  closers.push(() => dialer.close());
  return dialer;
}

async function upstreamOf(
  plan: PlanSource,
  onConnection?: () => Plan,
): Promise<FakeUpstream & { origin: Origin }> {
  const upstream = await startFakeUpstream({ plan, ...(onConnection && { onConnection }) });
  closers.push(() => upstream.close());
  const origin = createOrigin({ name: 'up', url: `${upstream.url}/base/`, allowPrivate: true });
  return Object.assign(upstream, { origin });
}

const never = new AbortController().signal;
const get = (path = '/'): DialRequest => ({ method: 'GET', path, headers: {}, signal: never });
const post = (body: DialRequest['body'] & {}): DialRequest => ({ ...get('/v1/x?y=1'), method: 'POST', body });

async function reasonOf(work: Promise<{ body: Readable }>): Promise<string> {
  try {
    return `answered ${await text((await work).body)}`;
  } catch (error) {
    return error instanceof GatewayError ? `${error.kind} ${error.reason}` : String(error);
  }
}

test('sends method, joined path, own headers and body; answers with status, headers and body', async () => {
  const upstream = await upstreamOf([
    { op: 'status', status: 418 },
    {
      op: 'headers',
      headers: [
        ['X-Seen', '1'],
        ['set-cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ],
    },
    { op: 'write', bytes: 'hello' },
  ]);
  const response = await open().request(upstream.origin, {
    ...post('{"a":1}'),
    headers: {
      'X-Key': 'k',
      'Content-Type': 'application/json',
      host: 'evil.example',
      Connection: 'close, x-key',
      'Content-Length': '99',
      'transfer-encoding': 'chunked',
      'x-skipped': undefined,
    },
  });
  const sent = await upstream.requestReceived(1);
  expect([sent.method, sent.path, sent.body().toString()]).toEqual(['POST', '/base/v1/x?y=1', '{"a":1}']);
  expect(sent.headers).toEqual({
    host: `127.0.0.1:${upstream.port}`,
    connection: 'keep-alive',
    'x-key': 'k',
    'content-type': 'application/json',
    'accept-encoding': 'identity',
    'content-length': '7',
  });
  expect([response.status, response.headers['x-seen'], response.headers['set-cookie']]).toEqual([
    418,
    '1',
    ['a=1', 'b=2'],
  ]);
  expect(await text(response.body)).toBe('hello');
});

test.each([
  ['a string', 'ä€'],
  ['bytes', Buffer.from('ä€')],
  ['a view into a larger buffer', Buffer.from('xxä€xx').subarray(2, 7)],
  ['a stream', () => Readable.from([Buffer.from('ä'), Buffer.from('€')])],
])('a body may be %s', async (_what, body) => {
  const upstream = await upstreamOf(jsonPlan({}));
  expect(
    await reasonOf(open().request(upstream.origin, post(typeof body === 'function' ? body() : body))),
  ).toBe('answered {}');
  expect((await upstream.requestReceived(1)).body().toString()).toBe('ä€');
});

test('early hints are not the answer', async () => {
  const upstream = await upstreamOf(
    rawPlan('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
  );
  expect(await reasonOf(open().request(upstream.origin, get()))).toBe('answered ok');
});

const half = [
  { op: 'headers', headers: { 'content-length': '100' } },
  { op: 'write', bytes: 'half' },
] as const;
const halfChunked = [
  { op: 'headers', headers: {} },
  { op: 'write', bytes: 'half' },
] as const;
const longHeader = `HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(40_000)}\r\ncontent-length: 0\r\n\r\n`;
const manyHeaders = `HTTP/1.1 200 OK\r\n${Array.from({ length: 300 }, (_, i) => `x-${i}: 1\r\n`).join('')}content-length: 0\r\n\r\n`;

const failures: Readonly<Record<string, readonly [Plan, string]>> = {
  '[F25] RST before the head': [[{ op: 'rst' }], 'upstream_failed upstream_reset'],
  'FIN before the head': [[{ op: 'fin' }], 'upstream_failed upstream_reset'],
  'FIN inside the head': [rawPlan('HTTP/1.1 200 OK\r\nx-half'), 'upstream_failed upstream_reset'],
  '[F26] RST inside the body': [[...half, { op: 'rst' }], 'upstream_failed upstream_reset'],
  '[F27] FIN inside a body with a length': [[...half, { op: 'fin' }], 'upstream_failed upstream_reset'],
  '[F27] FIN inside a chunked body': [[...halfChunked, { op: 'fin' }], 'upstream_failed upstream_reset'],
  '[F24] garbage': [rawPlan('not http at all\r\n\r\n'), 'upstream_failed upstream_protocol_error'],
  '[F34] two lengths': [
    rawPlan('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nContent-Length: 3\r\n\r\nokk'),
    'upstream_failed upstream_reset',
  ],
  '[F34] length and chunks': [
    rawPlan('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    'upstream_failed upstream_reset',
  ],
  '[F34] a body shorter than its length': [wrongLengthPlan('{}', 10), 'upstream_failed upstream_reset'],
  '[F34] a body longer than its length': [wrongLengthPlan('{}more', 2), 'answered {}'],
  '[F34] chunk extensions and a trailer': [chunkExtensionPlan(['{', '}']), 'answered {}'],
  'a head beyond its limit': [rawPlan(longHeader), 'upstream_failed upstream_headers_too_large'],
  'too many headers': [rawPlan(manyHeaders), 'upstream_failed upstream_headers_too_large'],
  '[F32] a compression bomb': [compressionBombPlan(50_000_000), 'upstream_failed upstream_encoding_refused'],
  '[F33] a thousand encodings': [stackedEncodingsPlan(1000), 'upstream_failed upstream_encoding_refused'],
  'an upgrade nobody asked for': [
    rawPlan('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    'upstream_failed upstream_reset',
  ],
};

test.each(Object.entries(failures))('%s', async (_what, [plan, expected]) => {
  const upstream = await upstreamOf(plan);
  const dialer = open();
  expect(await reasonOf(dialer.request(upstream.origin, get()))).toBe(expected);
  upstream.use(jsonPlan({ next: true }));
  expect(await reasonOf(dialer.request(upstream.origin, get())), 'the next request').toBe(
    'answered {"next":true}',
  );
});

test('nobody listens', async () => {
  const upstream = await startFakeUpstream({ plan: [] });
  const origin = createOrigin({ name: 'up', url: upstream.url, allowPrivate: true });
  await upstream.close();
  expect(await reasonOf(open().request(origin, get()))).toBe('upstream_failed upstream_refused');
});

test('a name that does not exist', async () => {
  const origin = createOrigin({ name: 'up', url: 'http://no-such-name.invalid', allowPrivate: false });
  expect(await reasonOf(open().request(origin, get()))).toBe('upstream_failed upstream_dns');
});

test('[S12] what cannot be a header is refused and costs no connection', async () => {
  const upstream = await upstreamOf(jsonPlan({}));
  const dialer = open();
  await reasonOf(dialer.request(upstream.origin, get()));
  for (const headers of [
    { 'x-bad': 'a\r\nb: c' },
    { 'x bad': '1' },
    { 'x-bad': '\0' },
    { 'x\r\nbad': '1' },
  ]) {
    expect(await reasonOf(dialer.request(upstream.origin, { ...get(), headers }))).toBe(
      'invalid_request request_not_sendable',
    );
  }
  expect(await reasonOf(dialer.request(upstream.origin, get()))).toBe('answered {}');
  expect(upstream.totalConnections, 'a connection rests for one turn of the event loop').toBeLessThanOrEqual(
    2,
  );
});

test('[S-1] an answer that nobody asked for never becomes the answer of the next request', async () => {
  const poison = { op: 'raw', bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison' } as const;
  const upstream = await upstreamOf(({ path }) => {
    const mine = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine${poison.bytes}`);
    if (path.endsWith('/at-once')) return [{ op: 'raw', bytes: mine }];
    return [...jsonPlan('mine'), { op: 'stall', ms: 20 }, poison];
  });
  const dialer = open();
  for (const path of ['/at-once', '/later']) {
    for (let round = 1; round <= 20; round++) {
      expect(await reasonOf(dialer.request(upstream.origin, get(path)))).toMatch(/mine|upstream_reset/);
      if (path === '/later') await upstream.allConnectionsClosed();
    }
  }
});

test('[F28] the bytes that come are the bytes that are read, however they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 40 }),
      async (bytes, slice) => {
        const upstream = await upstreamOf(slicedStreamPlan(bytes, slice));
        const response = await open().request(upstream.origin, get());
        expect(await buffer(response.body)).toEqual(Buffer.from(bytes));
      },
    ),
    { numRuns: 25 },
  );
});

test('certificates are verified, against the public authorities and the configured ones, whatever the environment says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'strata-tls-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) => {
    response.setHeader('connection', 'close').end('secret');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise(resolve => server.close(resolve)));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const at = (host: string, scheme = 'https') =>
    createOrigin({ name: 'up', url: `${scheme}://${host}:${port}`, allowPrivate: true });
  const trusting = open({ tls_ca_file: cert });
  for (let round = 0; round < 3; round++) {
    expect(await reasonOf(trusting.request(at('localhost'), get()))).toBe('answered secret');
  }
  expect(await reasonOf(trusting.request(at('127.0.0.1'), get())), 'another name').toBe(
    'upstream_failed upstream_tls',
  );
  expect(await reasonOf(trusting.request(at('localhost', 'http'), get())), 'no TLS').toMatch(
    /^upstream_failed/,
  );
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  expect(await reasonOf(open().request(at('localhost'), get())), 'unknown').toBe(
    'upstream_failed upstream_tls',
  );
  vi.unstubAllEnvs();
});
