import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import type { GatewayError } from '../errors/gateway-error.ts';
import { isAddressAllowed } from './address-guard.ts';
import { createDialer, type Dialer } from './dialer.ts';
import { networkSection } from './network-section.ts';
import { joinPath, type Origin } from './origin.ts';
import { createResolver, type Resolve, type ResolvedAddress } from './resolve.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map(close => close()));
});

function open(config: Record<string, unknown> = {}, lookUp?: Resolve): Dialer {
  const dialer = createDialer({
    config: networkSection.parse(config),
    clock: systemClock,
    ...(lookUp && { lookUp }),
  });
  closers.push(() => dialer.close());
  return dialer;
}

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, host, resolve));
  closers.push(() => new Promise(resolve => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

async function upstream(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Origin> {
  const server = createServer(handle);
  const port = await listen(server);
  closers.push(() => server.closeAllConnections());
  return { name: 'up', url: new URL(`http://127.0.0.1:${port}/base`), allowPrivate: true };
}

async function tcp(handle: (socket: Socket) => void): Promise<Origin> {
  const sockets = new Set<Socket>();
  const server = createTcpServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    handle(socket);
  });
  const port = await listen(server);
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { name: 'up', url: new URL(`http://127.0.0.1:${port}`), allowPrivate: true };
}

const never = new AbortController().signal;
const get = (path = '/') => ({ method: 'GET', path, headers: {}, signal: never });
const reasonOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'answered',
    (error: GatewayError) => error.reason ?? String(error),
  );

/** Forms in which an attacker writes an IPv4 address. */
function disguises(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  const octal = (value: number) => `0${value.toString(8)}`;
  const fullWidth = (value: string) =>
    [...value]
      .map(each => (each >= '0' && each <= '9' ? String.fromCharCode(each.charCodeAt(0) + 0xfee0) : each))
      .join('');
  const mapped = `${hex(a)}${hex(b)}:${hex(c)}${hex(d)}`;
  return [
    address,
    `${address}.`,
    String(whole),
    `0x${whole.toString(16)}`,
    `0${whole.toString(8)}`,
    `0x${hex(a)}.0x${hex(b)}.0x${hex(c)}.0x${hex(d)}`,
    [a, b, c, d].map(octal).join('.'),
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${((b << 16) | (c << 8) | d) >>> 0}`,
    fullWidth(address),
    address.replaceAll('.', '。'),
    address.replace('1', '%31'),
    `[::ffff:${address}]`,
    `[::ffff:${mapped}]`,
    `[0:0:0:0:0:ffff:${mapped}]`,
    `[::${address}]`,
    `[64:ff9b::${address}]`,
    `[2002:${mapped}::1]`,
  ];
}

const forbiddenIPv4 = [
  ...[
    '127.0.0.1',
    '127.1.2.3',
    '10.0.0.1',
    '10.255.255.254',
    '172.16.0.1',
    '172.31.255.1',
    '192.168.0.1',
    '192.168.255.1',
  ],
  ...[
    '100.64.0.1',
    '100.127.1.1',
    '169.254.169.254',
    '169.254.170.2',
    '100.100.100.200',
    '0.0.0.0',
    '0.1.2.3',
  ],
  ...[
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '192.0.0.192',
    '198.18.0.1',
    '192.0.2.1',
    '198.51.100.7',
    '203.0.113.9',
  ],
];
const forbiddenIPv6 = [
  '[::]',
  '[::1]',
  '[fe80::1]',
  '[fc00::1]',
  '[fd00:ec2::254]',
  '[fd12:3456::1]',
  '[ff02::1]',
  '[2001::1]',
  '[2001:db8::1]',
  '[fec0::1]',
  '[100::1]',
];

test('[S-3] [S19] no form of a private or reserved address is ever dialled', async () => {
  let packets = 0;
  const sink = createTcpServer(socket => {
    packets++;
    socket.destroy();
  });
  const port = await listen(sink, '::');
  const hosts = [...forbiddenIPv4.flatMap(disguises), ...forbiddenIPv6];
  const dialer = open({ connect_timeout_ms: 300, dns: { timeout_ms: 300 } });
  const reached: string[] = [];
  let dialled = 0;
  for (const host of hosts) {
    if (!URL.canParse(`http://${host}:${port}`)) continue;
    dialled++;
    const origin = { name: 'x', url: new URL(`http://${host}:${port}`), allowPrivate: false };
    const reason = await reasonOf(dialer.request(origin, get()));
    if (reason !== 'destination_not_allowed') reached.push(`${host} -> ${origin.url.hostname}: ${reason}`);
  }
  expect(reached).toEqual([]);
  expect(dialled).toBeGreaterThan(400);
  expect(packets).toBe(0);
});

test('[S19] metadata, link-local and multicast stay refused where private addresses are allowed', () => {
  for (const address of [
    '169.254.169.254',
    '169.254.1.1',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    'fe80::1',
    '100.100.100.200',
    '0.0.0.0',
    '224.0.0.1',
    '::',
  ]) {
    expect(isAddressAllowed(address, { allowPrivate: true }), address).toBe(false);
  }
  for (const address of [
    '127.0.0.1',
    '10.1.1.1',
    '::1',
    'fd12::1',
    '::ffff:10.0.0.1',
    '1.1.1.1',
    '2606:4700::1111',
  ]) {
    expect(isAddressAllowed(address, { allowPrivate: true }), address).toBe(true);
  }
  expect(isAddressAllowed('1.1.1.1', { allowPrivate: false })).toBe(true);
  expect(isAddressAllowed('2606:4700::1111', { allowPrivate: false })).toBe(true);
});

test('[S19] a v4-mapped address is judged exactly as its IPv4 address, whatever it is', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.boolean(), (address, allowPrivate) => {
      expect(isAddressAllowed(`::ffff:${address}`, { allowPrivate })).toBe(
        isAddressAllowed(address, { allowPrivate }),
      );
    }),
    { numRuns: 5000 },
  );
});

test('[S19] a name that resolves to a private address, alone or among public ones, is refused', async () => {
  const names: Record<string, ResolvedAddress[]> = {
    'inside.test': [{ address: '10.0.0.5', family: 4 }],
    'mixed.test': [
      { address: '1.1.1.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ],
    'metadata.test': [{ address: 'fd00:ec2::254', family: 6 }],
    'nowhere.test': [],
  };
  const dialer = open({}, async hostname => names[hostname] ?? []);
  for (const name of Object.keys(names)) {
    const origin = { name, url: new URL(`http://${name}`), allowPrivate: false };
    expect(await reasonOf(dialer.request(origin, get())), name).toBe('destination_not_allowed');
  }
});

test('[S19] rebinding: the address that was checked is the address that is dialled', async () => {
  let packets = 0;
  const sink = createTcpServer(socket => {
    packets++;
    socket.destroy();
  });
  const port = await listen(sink);
  let lookups = 0;
  // First a public address that nobody answers at, ever after the inside.
  const dialer = open({ connect_timeout_ms: 200 }, async () => [
    { address: lookups++ === 0 ? '192.31.196.1' : '127.0.0.1', family: 4 },
  ]);
  const origin = { name: 'x', url: new URL(`http://rebind.test:${port}`), allowPrivate: false };
  for (let attempt = 0; attempt < 3; attempt++)
    expect(await reasonOf(dialer.request(origin, get()))).not.toBe('answered');
  expect(packets).toBe(0);
});

test('[C13] a redirect is an answer, wherever it points', async () => {
  const origin = await upstream((_request, response) =>
    response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end(),
  );
  const response = await open().request(origin, get());
  expect([response.status, response.headers.location]).toEqual([307, 'http://169.254.169.254/latest']);
  response.body.destroy();
});

test.each([
  '//evil.example/x',
  '/../admin',
  '/a/%2e%2e/b',
  '/./a',
  '/a#b',
  '/a\\b',
  'http://evil/',
  '/a b',
  '/a\r\nx: y',
  'relative',
])('[A3] %s cannot be a path', path => {
  expect(() => joinPath(new URL('http://up/base'), path)).toThrow('cannot be a path');
});

test('[A3] whatever the path, the request stays at its origin and under its base path', () => {
  fc.assert(
    fc.property(fc.string(), fc.webPath(), (text, path) => {
      for (const candidate of [text, `/${text}`, path]) {
        let joined: string;
        try {
          joined = joinPath(new URL('http://up.example/base'), candidate);
        } catch {
          continue;
        }
        const url = new URL(joined, 'http://up.example');
        expect(url.host).toBe('up.example');
        expect(url.pathname.startsWith('/base')).toBe(true);
      }
    }),
    { numRuns: 3000 },
  );
});

test('sends method, joined path, headers and body; answers with status, headers and body', async () => {
  const origin = await upstream((request, response) => {
    void text(request).then(body => {
      response.setHeader(
        'x-seen',
        `${request.method} ${request.url} ${request.headers['x-key']} ${request.headers['accept-encoding']}`,
      );
      response.end(body.toUpperCase());
    });
  });
  const response = await open().request(origin, {
    ...get('/v1/x?y=1'),
    method: 'POST',
    headers: { 'X-Key': 'k', host: 'evil', connection: 'close', skipped: undefined },
    body: 'hello',
  });
  expect(response.headers['x-seen']).toBe('POST /base/v1/x?y=1 k identity');
  expect(await text(response.body)).toBe('HELLO');
});

test('each way to fail has its reason', async () => {
  const dialer = open({ connect_timeout_ms: 500 });
  const closed = await tcp(() => {});
  await closers.pop()?.();
  await closers.pop()?.();
  expect(await reasonOf(dialer.request(closed, get()))).toBe('upstream_refused');
  const resets = await tcp(socket => socket.once('data', () => socket.resetAndDestroy()));
  expect(await reasonOf(dialer.request(resets, get()))).toBe('upstream_reset');
  const garbage = await tcp(socket => socket.once('data', () => socket.end('not http at all\r\n\r\n')));
  expect(await reasonOf(dialer.request(garbage, get()))).toBe('upstream_protocol_error');
  const silent = await tcp(() => {});
  expect(await reasonOf(dialer.request(silent, { ...get(), timeouts: { headersMs: 50 } }))).toBe(
    'upstream_headers_timeout',
  );
  const unknown = { name: 'x', url: new URL('http://no-such-name.invalid'), allowPrivate: false };
  expect(await reasonOf(dialer.request(unknown, get()))).toBe('upstream_dns');
  expect(await reasonOf(dialer.request(silent, { ...get(), headers: { 'x-bad': 'a\r\nb: c' } }))).toBe(
    'request_not_sendable',
  );
});

test('an error in the middle of a body has a reason too', async () => {
  const dialer = open();
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf';
  const cuts = await tcp(socket =>
    socket.once('data', () => socket.write(head, () => socket.resetAndDestroy())),
  );
  expect(await reasonOf(dialer.request(cuts, get()).then(response => text(response.body)))).toBe(
    'upstream_reset',
  );
  const stalls = await tcp(socket => socket.once('data', () => socket.write(head)));
  const stalled = dialer.request(stalls, { ...get(), timeouts: { bodyMs: 50 } });
  expect(await reasonOf(stalled.then(response => text(response.body)))).toBe('upstream_body_timeout');
});

test('[AI-4] aborting ends the call in every phase and closes its socket', async () => {
  const gone: Promise<void>[] = [];
  const origin = await tcp(socket => {
    gone.push(new Promise(resolve => socket.once('close', () => resolve())));
    socket.once('data', request => {
      if (request.toString().includes('/stream'))
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf');
    });
  });
  const dialer = open();
  for (const path of ['/silent', '/stream']) {
    const controller = new AbortController();
    const started = dialer.request(origin, { ...get(path), signal: controller.signal });
    const read = started.then(response => text(response.body));
    if (path === '/stream') await started;
    else await new Promise(resolve => setImmediate(resolve));
    const reason = new Error('client left');
    controller.abort(reason);
    await expect(read).rejects.toBe(reason);
  }
  const aborted = AbortSignal.abort(new Error('before'));
  await expect(dialer.request(origin, { ...get(), signal: aborted })).rejects.toThrow('before');
  await Promise.all(gone);
});

test('[F13] one lookup in flight a name; the last answer serves while the name server is silent, for a minute', async () => {
  let answers: readonly ResolvedAddress[] | Error = [{ address: '1.1.1.1', family: 4 }];
  let asked = 0;
  let nowMs = 0;
  const clock = { ...systemClock, monotonic: () => nowMs };
  const resolve = createResolver({
    clock,
    timeoutMs: 1000,
    freshMs: 5000,
    staleMs: 60_000,
    lookUp: async () => {
      asked++;
      if (answers instanceof Error) throw answers;
      return answers;
    },
  });
  await Promise.all([resolve('a'), resolve('a'), resolve('a')]);
  expect(asked).toBe(1);
  answers = new Error('SERVFAIL');
  nowMs = 59_000;
  expect(await resolve('a')).toEqual([{ address: '1.1.1.1', family: 4 }]);
  nowMs = 61_000;
  await expect(resolve('a')).rejects.toMatchObject({ reason: 'upstream_dns' });
});
