import { createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { GatewayError } from '../src/errors/gateway-error.ts';
import { createDialer, type Dialer } from '../src/http/dialer.ts';
import { networkSection } from '../src/http/network-section.ts';
import { createOrigin, type Origin } from '../src/http/origin.ts';
import { type DnsAnswer, type DnsQuestion, startDnsStub } from '../src/testing/dns-stub.ts';

/** S-3 and the table of S19: a sink listens on every local address, and whatever is tried, nobody ever connects to it. */

const closers: (() => unknown)[] = [];
let sink: Sink;

beforeEach(async () => {
  sink = await openSink('::');
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map(close => close()));
});

interface Sink {
  readonly port: number;
  connections: number;
}

async function openSink(host: string, port = 0): Promise<Sink> {
  const sockets = new Set<Socket>();
  const opened = { port: 0, connections: 0 };
  const server: Server = createServer(socket => {
    opened.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'),
    );
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise(resolve => server.close(resolve));
  });
  const address = server.address();
  opened.port = typeof address === 'object' && address !== null ? address.port : 0;
  return opened;
}

function open(config: Record<string, unknown> = {}): Dialer {
  const dialer = createDialer({
    config: networkSection.parse({ connect_timeout_ms: 2000, ...config }),
    clock: systemClock,
  });
  closers.push(() => dialer.close());
  return dialer;
}

async function openWithNames(
  answer: (question: DnsQuestion) => DnsAnswer,
  config: Record<string, unknown> = {},
) {
  const stub = await startDnsStub(answer);
  closers.push(() => stub.close());
  return open({ dns: { servers: [stub.server], timeout_ms: 500, fresh_ms: 0, stale_ms: 0 }, ...config });
}

const never = new AbortController().signal;

async function outcome(dialer: Dialer, origin: Origin, path = '/'): Promise<string> {
  try {
    const response = await dialer.request(origin, { method: 'GET', path, headers: {}, signal: never });
    response.body.destroy();
    return `answered ${response.status}`;
  } catch (error) {
    return error instanceof GatewayError ? error.reason : String(error);
  }
}

/** As configuration makes it, or past its checks: the dialer must refuse by itself. */
function origins(url: string): (Origin | string)[] {
  const made: (Origin | string)[] = [];
  try {
    made.push(createOrigin({ name: 'x', url, allowPrivate: false }));
  } catch (error) {
    made.push(error instanceof GatewayError ? error.reason : String(error));
  }
  if (URL.canParse(url)) made.push({ name: 'x', url: new URL(url), allowPrivate: false });
  return made;
}

async function expectRefused(dialer: Dialer, url: string): Promise<void> {
  for (const each of origins(url)) {
    const reason = typeof each === 'string' ? each : await outcome(dialer, each);
    // A name that the machine does not know leads nowhere either.
    const refusals = ['destination_not_allowed', 'origin_not_allowed', 'upstream_dns'];
    expect(refusals, `${url} gave ${reason}`).toContain(reason);
  }
}

/** Ways to write one IPv4 address in a URL. */
function disguises(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  const octal = (value: number) => `0${value.toString(8)}`;
  const shifted = (text: string, by: number) =>
    text.replace(/\d/g, digit => String.fromCodePoint(digit.charCodeAt(0) + by));
  const mapped = `${hex(a)}${hex(b)}:${hex(c)}${hex(d)}`;
  return [
    address,
    `${address}.`,
    String(whole),
    `${whole}.`,
    `0x${whole.toString(16)}`,
    `0X${whole.toString(16).toUpperCase()}`,
    `0${whole.toString(8)}`,
    [a, b, c, d].map(part => `0x${hex(part)}`).join('.'),
    [a, b, c, d].map(octal).join('.'),
    [a, b, c, d].map(part => `0000${octal(part)}`).join('.'),
    `${a}.0x${hex(b)}.${octal(c)}.${d}`,
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${((b << 16) | (c << 8) | d) >>> 0}`,
    shifted(address, 0xfee0), // full width
    shifted(address, 0x1d79e), // mathematical monospace
    address.replaceAll('.', '。'),
    address.replaceAll('.', '．'),
    address.replace(/\d/, digit => `%3${digit}`),
    address.replaceAll('.', '%2e'),
    `[::ffff:${address}]`,
    `[::ffff:${mapped}]`,
    `[::FFFF:${mapped}]`,
    `[0:0:0:0:0:ffff:${mapped}]`,
    `[::${address}]`,
    `[::ffff:0:${mapped}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b:1::${mapped}]`,
    `[2002:${mapped}::1]`,
    `[2001:0:${mapped}::1]`,
    `[::ffff:${address}%25lo]`,
    `user:pass@${address}`,
  ];
}

const targets = [
  ...[
    '127.0.0.1',
    '127.1.2.3',
    '127.255.255.254',
    '10.0.0.1',
    '10.255.255.254',
    '172.16.0.1',
    '172.31.255.1',
  ],
  ...['192.168.0.1', '192.168.255.1', '100.64.0.1', '100.127.1.1', '169.254.169.254', '169.254.170.2'],
  ...['100.100.100.200', '168.63.129.16', '0.0.0.0', '0.1.2.3', '224.0.0.1', '239.1.1.1', '240.0.0.1'],
  ...['255.255.255.255', '192.0.0.192', '198.18.0.1', '192.0.2.1', '198.51.100.7', '203.0.113.9'],
];
const others = [
  ...[
    '0',
    '127.1',
    '127.0.1',
    '0x7f.1',
    '017700000001',
    'localhost',
    'LOCALHOST',
    'localhost.',
    'x.localhost',
  ],
  ...[
    '[::]',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::0001]',
    '[fe80::1]',
    '[fe80::1%25eth0]',
    '[::1%25lo]',
    '[fc00::1]',
  ],
  ...['[fd00:ec2::254]', '[fd00:0ec2::0254]', '[fd20:ce::254]', '[fd12:3456::1]', '[ff02::1]', '[ff01::1]'],
  ...['[2001::1]', '[2001:db8::1]', '[fec0::1]', '[100::1]', '[3fff::1]', '[5f00::1]', '[::ffff:0:0]'],
];

test('[S-3] [S19] no form of a private, reserved or metadata address is ever dialled', async () => {
  const dialer = open();
  const hosts = [...targets.flatMap(disguises), ...others];
  expect(hosts.length).toBeGreaterThan(800);
  for (const host of hosts) {
    await expectRefused(dialer, `http://${host}:${sink.port}/latest/meta-data/`);
    await expectRefused(dialer, `https://${host}:${sink.port}/`);
  }
  expect(sink.connections).toBe(0);
});

test('[S19] [T13] five thousand generated ones neither', async () => {
  const dialer = open();
  const ranges = [
    ['127', 24],
    ['10', 24],
    ['192.168', 16],
    ['169.254', 16],
    ['0', 24],
  ] as const;
  const address = fc
    .tuple(fc.constantFrom(...ranges), fc.nat({ max: 255 }), fc.nat({ max: 255 }), fc.nat({ max: 255 }))
    .map(([[prefix], ...rest]) => [...prefix.split('.'), ...rest].slice(0, 4).join('.'));
  await fc.assert(
    fc.asyncProperty(address, fc.nat({ max: disguises('0.0.0.0').length - 1 }), async (text, form) => {
      await expectRefused(dialer, `http://${disguises(text)[form]}:${sink.port}/`);
    }),
    { numRuns: 5000 },
  );
  expect(sink.connections).toBe(0);
});

test.each([
  'ftp://127.0.0.1/',
  'file:///etc/passwd',
  'gopher://127.0.0.1/',
  'unix:/run/docker.sock',
  'javascript:alert(1)',
  'ws://127.0.0.1/',
  'http:127.0.0.1',
  'http:/127.0.0.1',
  'http:///127.0.0.1',
  'http:\\\\127.0.0.1\\',
  'http://example.com\\@127.0.0.1/',
  'http://exa\tmple.com/',
  'http://example.com/\r\nx: y',
  ' http://example.com/',
  'http://example.com@127.0.0.1/',
  'http://example.com/?query',
  'http://example.com/#fragment',
  'http://[::1/',
  'http://example.com:99999/',
  '//127.0.0.1/',
  '',
])("[A1] [A3] '%s' is no origin", url => {
  expect(() => createOrigin({ name: 'x', url, allowPrivate: true })).toThrow(GatewayError);
});

test('[S19] a name that leads inside is refused, alone or hidden among public addresses', async () => {
  const answers: Readonly<Record<string, readonly string[]>> = {
    'loopback.test': ['127.0.0.1'],
    'inside.test': ['10.0.0.5'],
    'mixed.test': ['1.1.1.1', '127.0.0.1'],
    'mixed6.test': ['1.1.1.1', '::1'],
    'mapped.test': ['::ffff:127.0.0.1'],
    'metadata.test': ['169.254.169.254'],
    'metadata6.test': ['fd00:ec2::254'],
    'nat64.test': ['64:ff9b::7f00:1'],
    'zero.test': ['0.0.0.0'],
  };
  const dialer = await openWithNames(({ name }) => answers[name] ?? []);
  for (const name of Object.keys(answers)) {
    const origin = createOrigin({ name, url: `http://${name}:${sink.port}`, allowPrivate: false });
    expect(await outcome(dialer, origin), name).toBe('destination_not_allowed');
  }
  for (const name of ['metadata.test', 'metadata6.test', 'zero.test']) {
    const origin = createOrigin({ name, url: `http://${name}:${sink.port}`, allowPrivate: true });
    expect(await outcome(dialer, origin), `${name}, private allowed`).toBe('destination_not_allowed');
  }
  expect(sink.connections).toBe(0);
});

test('[S19] rebinding: a name that turns inside after its first answer is refused at the next connection', async () => {
  const allowed = await openSink('127.0.0.1');
  const inside = await openSink('127.0.0.2', allowed.port);
  const config = { allow_private_networks: ['127.0.0.1/32'], connect_timeout_ms: 1000 };
  const dialer = await openWithNames(({ times }) => [times === 1 ? '127.0.0.1' : '127.0.0.2'], config);
  const origin = createOrigin({ name: 'x', url: `http://rebind.test:${allowed.port}`, allowPrivate: false });
  expect(await outcome(dialer, origin)).toBe('answered 200');
  for (let attempt = 0; attempt < 5; attempt++) {
    expect(await outcome(dialer, origin)).toBe('destination_not_allowed');
  }
  expect([allowed.connections, inside.connections]).toEqual([1, 0]);
});

test('[S19] rebinding: many connections at once never reach an address that was not checked', async () => {
  const allowed = await openSink('127.0.0.1');
  const inside = await openSink('127.0.0.2', allowed.port);
  let answers = 0;
  const dialer = await openWithNames(() => [answers++ % 2 === 0 ? '127.0.0.1' : '127.0.0.2'], {
    allow_private_networks: ['127.0.0.1/32'],
  });
  const origin = createOrigin({ name: 'x', url: `http://flip.test:${allowed.port}`, allowPrivate: false });
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 5 }, () => outcome(dialer, origin)));
  }
  expect(inside.connections).toBe(0);
  expect(allowed.connections).toBeGreaterThan(0);
});

test.each([301, 302, 303, 307, 308])('[C13] a %i is an answer, wherever it points', async status => {
  const server = createServer(socket => {
    socket.once('data', () => {
      const location = `http://127.0.0.1:${sink.port}/latest/meta-data/`;
      socket.end(`HTTP/1.1 ${status} Moved\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise(resolve => server.close(resolve)));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const origin = createOrigin({ name: 'x', url: `http://127.0.0.1:${port}`, allowPrivate: true });
  expect(await outcome(open(), origin)).toBe(`answered ${status}`);
  expect(sink.connections).toBe(0);
});

test('[A2] an origin is what it was when it was first used, whatever is done to the object', async () => {
  const first = await openSink('127.0.0.1');
  const dialer = open();
  const origin = { name: 'x', url: new URL(`http://127.0.0.1:${first.port}`), allowPrivate: true };
  expect(await outcome(dialer, origin)).toBe('answered 200');
  origin.url.port = String(sink.port);
  expect(await outcome(dialer, origin)).toBe('answered 200');
  expect(sink.connections).toBe(0);
  expect(() =>
    Object.assign(createOrigin({ name: 'x', url: 'http://up.test', allowPrivate: false }), {
      allowPrivate: true,
    }),
  ).toThrow(TypeError);
});
