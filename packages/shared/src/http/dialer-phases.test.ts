import { getEventListeners, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GatewayError } from '../errors/gateway-error.ts';
import type { Plan, PlanSource } from '../testing/fake-upstream/plan.ts';
import { jsonPlan } from '../testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '../testing/fake-upstream.ts';
import { createManualClock, type ManualClock } from '../testing/manual-clock.ts';
import { createDialer, type Dialer, type DialRequest } from './dialer.ts';
import { networkSection } from './network-section.ts';
import { createOrigin, type Origin } from './origin.ts';
import type { Resolve } from './resolve.ts';

/** Every phase of a call has its limit and can be left at once; nothing is left behind. */

const closers: (() => unknown)[] = [];
let clock: ManualClock;

beforeEach(() => {
  clock = createManualClock();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const hangingLookup: Resolve = () => new Promise(() => {});

function open(config: Record<string, unknown> = {}, lookUp?: Resolve): Dialer {
  const dialer = createDialer({
    config: networkSection.parse({
      connect_timeout_ms: 1000,
      headers_timeout_ms: 2000,
      body_idle_timeout_ms: 3000,
      ...config,
    }),
    clock,
    ...(lookUp && { lookUp }),
  });
  closers.push(() => dialer.close());
  return dialer;
}

async function upstreamOf(plan: PlanSource): Promise<FakeUpstream & { origin: Origin }> {
  const upstream = await startFakeUpstream({ plan });
  closers.push(() => upstream.close());
  return Object.assign(upstream, { origin: local(upstream.port) });
}

function local(port: number, scheme = 'http'): Origin {
  return createOrigin({ name: 'up', url: `${scheme}://127.0.0.1:${port}`, allowPrivate: true });
}

/** Accepts connections and never says a word. */
async function silentServer(): Promise<{ port: number; socket: Promise<Socket> }> {
  const server: Server = createServer();
  const socket = once(server, 'connection').then(([first]: Socket[]) => first as Socket); // what net emits there
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    (await socket).destroy();
    server.close();
  });
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, socket };
}

/** A port whose owner sleeps, with a full backlog: the kernel answers no further SYN. */
async function deafPort(): Promise<number> {
  const worker = new Worker(
    `const { createServer } = require('node:net');
     const { parentPort } = require('node:worker_threads');
     const server = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000), 0);
     });`,
    { eval: true },
  );
  closers.push(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  const { connect } = await import('node:net');
  for (let filled = true; filled; ) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    closers.push(() => socket.destroy());
    filled = await Promise.race([
      once(socket, 'connect').then(() => true),
      // Only a full queue keeps a connection on loopback waiting this long, however crowded the machine is.
      new Promise<boolean>(resolve => setTimeout(() => resolve(false), 2000)),
    ]);
  }
  return port;
}

const never = new AbortController().signal;
const get = (signal: AbortSignal = never): DialRequest => ({ method: 'GET', path: '/', headers: {}, signal });
const reasonOf = (work: Promise<unknown>) =>
  work.then(
    () => 'answered',
    (error: GatewayError) => error.reason,
  );

async function expires(work: Promise<unknown>, ms: number, reason: string): Promise<void> {
  const outcome = reasonOf(work);
  await clock.advance(ms - 1);
  expect(await Promise.race([outcome, 'waiting'])).toBe('waiting');
  await clock.advance(1);
  expect(await outcome).toBe(reason);
  expect(clock.pending).toBe(0);
}

const half: Plan = [
  { op: 'headers', headers: { 'content-length': '100' } },
  { op: 'write', bytes: 'half' },
  { op: 'stall' },
];

test('a name that is not resolved in time', async () => {
  const origin = createOrigin({ name: 'up', url: 'http://up.test', allowPrivate: true });
  const dialer = open({ dns: { timeout_ms: 500, stale_ms: 0 } }, hangingLookup);
  const outcome = reasonOf(dialer.request(origin, get()));
  await clock.pendingReached(2);
  await clock.advance(500);
  expect(await outcome).toBe('upstream_dns');
});

test('a connection that is not accepted in time', async () => {
  const port = await deafPort();
  const outcome = open().request(local(port), get());
  await expires(outcome, 1000, 'upstream_connect_timeout');
});

test('a TLS handshake that does not end in time', async () => {
  const { port, socket } = await silentServer();
  const outcome = open().request(local(port, 'https'), get());
  const opened = await socket;
  const closed = once(
    opened.resume().on('error', () => {}),
    'close',
  );
  await expires(outcome, 1000, 'upstream_connect_timeout');
  await closed;
});

test('[F39] an answer that does not begin in time', async () => {
  const upstream = await upstreamOf([{ op: 'stall' }]);
  const outcome = open().request(upstream.origin, get());
  await upstream.requestReceived(1);
  await expires(outcome, 2000, 'upstream_headers_timeout');
  await upstream.allConnectionsClosed();
});

test('a request may have its own limits', async () => {
  const upstream = await upstreamOf([{ op: 'stall' }]);
  const outcome = open().request(upstream.origin, { ...get(), timeouts: { headersMs: 50 } });
  await upstream.requestReceived(1);
  await expires(outcome, 50, 'upstream_headers_timeout');
});

test('[F38] an answer that falls silent', async () => {
  const upstream = await upstreamOf(half);
  const response = await open().request(upstream.origin, get());
  await expires(text(response.body), 3000, 'upstream_body_timeout');
  await upstream.allConnectionsClosed();
});

test('an answer that goes on in time, however slowly, is not silent', async () => {
  const upstream = await upstreamOf(half);
  let goOn = () => {};
  upstream.use([
    { op: 'headers', headers: {} },
    { op: 'write', bytes: 'a' },
    { op: 'waitFor', until: new Promise<void>(resolve => (goOn = resolve)) },
    { op: 'write', bytes: 'b' },
    { op: 'stall' },
  ]);
  const response = await open().request(upstream.origin, get());
  const chunks = response.body[Symbol.asyncIterator]();
  await chunks.next();
  await clock.advance(2500);
  goOn();
  expect(String((await chunks.next()).value)).toBe('b');
  const rest = chunks.next();
  await expires(rest, 3000, 'upstream_body_timeout');
});

test('[F44] time in which the reader does not read is no silence, and the upstream is held back', async () => {
  const upstream = await upstreamOf([
    { op: 'headers', headers: {} },
    { op: 'repeat', bytes: Buffer.alloc(65_536) },
  ]);
  const response = await open().request(upstream.origin, get());
  const sent = await upstream.requestStarted(1);
  await sent.until(request => request.wireBytesSent > 200_000);
  for (let round = 0; round < 5; round++) await clock.advance(10_000);
  expect(response.body.destroyed).toBe(false);
  expect(sent.wireBytesSent).toBeLessThan(16_000_000);
  response.body.destroy();
  await upstream.allConnectionsClosed();
  expect(clock.pending).toBe(0);
});

test.each([
  ['before the head', [{ op: 'stall' }]],
  ['inside the body', half],
] as const)('a whole call that takes too long ends %s', async (_where, plan) => {
  const upstream = await upstreamOf(plan);
  const call = open().request(upstream.origin, { ...get(), timeouts: { totalMs: 1500 } });
  const read = call.then(response => text(response.body));
  if (plan === half) await call;
  else await upstream.requestReceived(1);
  await expires(read, 1500, 'upstream_total_timeout');
});

interface Leaving {
  /** Starts a call and resolves once it is in its phase. */
  start(signal: AbortSignal): Promise<{ call: Promise<unknown>; left: () => Promise<unknown> }>;
}

const gone = async () => {};
const phases: Readonly<Record<string, Leaving['start']>> = {
  'while its name is resolved': async signal => {
    const origin = createOrigin({ name: 'up', url: 'http://up.test', allowPrivate: true });
    const call = open({}, hangingLookup).request(origin, get(signal));
    await clock.pendingReached(2);
    return { call, left: () => clock.advance(5000) };
  },
  'while it connects': async signal => {
    const call = open().request(local(await deafPort()), get(signal));
    await clock.pendingReached(1);
    return { call, left: gone };
  },
  'during the TLS handshake': async signal => {
    const { port, socket } = await silentServer();
    const call = open().request(local(port, 'https'), get(signal));
    const opened = (await socket).resume().on('error', () => {});
    return { call, left: () => once(opened, 'close') };
  },
  'while it waits for a connection': async signal => {
    const upstream = await upstreamOf([{ op: 'stall' }]);
    const dialer = open({ max_connections_per_origin: 1 });
    const other = dialer.request(upstream.origin, get());
    other.catch(() => {});
    await upstream.requestReceived(1);
    const call = dialer.request(upstream.origin, get(signal));
    return { call, left: () => dialer.close() };
  },
  'while it sends its body': async signal => {
    const upstream = await upstreamOf([]);
    upstream.use([{ op: 'stopReading' }, { op: 'stall' }]);
    const body = Buffer.alloc(64 * 1024 * 1024);
    const call = open().request(upstream.origin, { ...get(signal), method: 'POST', body });
    await upstream.requestStarted(1);
    return { call, left: gone };
  },
  'while it waits for the head': async signal => {
    const upstream = await upstreamOf([{ op: 'stall' }]);
    const call = open().request(upstream.origin, get(signal));
    await upstream.requestReceived(1);
    return { call, left: () => upstream.allConnectionsClosed() };
  },
  'in the middle of the body': async signal => {
    const upstream = await upstreamOf(half);
    const response = await open().request(upstream.origin, get(signal));
    return { call: buffer(response.body), left: () => upstream.allConnectionsClosed() };
  },
};

test.each(Object.entries(phases))(
  '[AI-4] [F43] a caller leaves %s: at once, with its own reason',
  async (_phase, start) => {
    const controller = new AbortController();
    const { call, left } = await start(controller.signal);
    const reason = new Error('the client left');
    const ended = call.then(
      () => 'answered',
      error => error,
    );
    const startedAt = performance.now();
    controller.abort(reason);
    expect(await ended).toBe(reason);
    expect(performance.now() - startedAt).toBeLessThan(5000); // the clock stands still: no limit of ours has ended it
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    await left();
    expect(clock.pending).toBe(0);
  },
);

test('a signal that has already fired costs no connection', async () => {
  const upstream = await upstreamOf(jsonPlan({}));
  const reason = new Error('before');
  await expect(open().request(upstream.origin, get(AbortSignal.abort(reason)))).rejects.toBe(reason);
  expect(upstream.totalConnections).toBe(0);
});

test('a complete call leaves no listener and no timer behind, and its connection is used again', async () => {
  const upstream = await upstreamOf(jsonPlan({}));
  const dialer = open();
  const controller = new AbortController();
  for (let round = 0; round < 10; round++) {
    const response = await dialer.request(upstream.origin, get(controller.signal));
    await text(response.body);
    await new Promise(resolve => setTimeout(resolve, 1));
  }
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  expect(clock.pending).toBe(0);
  expect(upstream.totalConnections).toBeLessThan(4);
});

test('a body that nobody reads may break or be thrown away without harm', async () => {
  const upstream = await upstreamOf([{ op: 'headers', headers: { 'content-length': '9' } }, { op: 'rst' }]);
  const dialer = open();
  const broken = await dialer.request(upstream.origin, get());
  await new Promise(resolve => broken.body.once('close', resolve));
  await expect(text(broken.body)).rejects.toBeDefined();
  upstream.use(half);
  const unread = await dialer.request(upstream.origin, get());
  unread.body.destroy();
  await upstream.allConnectionsClosed();
  expect(clock.pending).toBe(0);
});

test('waiting for a connection is bounded in number and in time; who waits is served in order', async () => {
  const upstream = await upstreamOf([{ op: 'stall' }]);
  const dialer = open({ max_connections_per_origin: 1, max_waiting_per_origin: 2 });
  const holder = new AbortController();
  const held = reasonOf(dialer.request(upstream.origin, get(holder.signal)));
  await upstream.requestReceived(1);
  upstream.use(jsonPlan({}));
  const next = dialer.request(upstream.origin, get()).then(response => text(response.body));
  const late = reasonOf(dialer.request(upstream.origin, { ...get(), path: '/late' }));
  expect(await reasonOf(dialer.request(upstream.origin, get()))).toBe('upstream_busy');
  holder.abort();
  await held;
  expect(await next).toBe('{}');
  expect(await late).toBe('answered');

  upstream.use([{ op: 'stall' }]);
  const busy = reasonOf(dialer.request(upstream.origin, { ...get(), timeouts: { headersMs: 0 } }));
  await upstream.requestReceived(4);
  const tooLong = reasonOf(dialer.request(upstream.origin, get()));
  await clock.advance(1000);
  expect(await tooLong).toBe('upstream_busy');
  await dialer.close();
  expect(await busy).toBe('dialer_closed');
  expect(await reasonOf(dialer.request(upstream.origin, get()))).toBe('dialer_closed');
});

test('only so many origins keep connections: the one unused for longest is closed first', async () => {
  const upstreams: Awaited<ReturnType<typeof upstreamOf>>[] = [];
  for (let index = 0; index < 3; index++) upstreams.push(await upstreamOf(jsonPlan({ index })));
  const dialer = open({ max_origins: 2 });
  const call = async (index: number) => {
    const origin = upstreams[index]?.origin;
    if (origin !== undefined) await text((await dialer.request(origin, get())).body);
    await clock.advance(1);
    await new Promise(resolve => setTimeout(resolve, 5));
  };
  for (const index of [0, 1, 0, 2]) await call(index);
  await upstreams[1]?.allConnectionsClosed();
  expect(upstreams.map(upstream => upstream.openConnections > 0)).toEqual([true, false, true]);
  await call(1);
});
