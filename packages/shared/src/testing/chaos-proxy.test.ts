import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ChaosProxy, type ChaosProxyOptions, startChaosProxy } from './chaos-proxy.ts';
import { createManualClock } from './manual-clock.ts';

/** One end of a connection, with everything that happened to it. */
class End {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  ending: 'fin' | 'rst' | undefined;
  readonly closed: Promise<void>;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', bytes => this.#note(() => this.chunks.push(bytes)));
    socket.on('end', () =>
      this.#note(() => {
        this.ending = 'fin';
      }),
    );
    socket.on('error', () =>
      this.#note(() => {
        this.ending = 'rst';
      }),
    );
    this.closed = new Promise(resolve => socket.once('close', () => resolve()));
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  async until(condition: (end: End) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>(resolve => this.#waiting.push(resolve));
  }

  #note(act: () => void): void {
    act();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

let server: Server;
let accepted: ((end: End) => void) | undefined;
const opened: { close(): unknown }[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }, socket => {
    const end = new End(socket);
    opened.push({ close: () => socket.destroy() });
    accepted?.(end);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
  await new Promise(resolve => server.close(resolve));
});

async function startProxy(options: Omit<ChaosProxyOptions, 'target'> = {}): Promise<ChaosProxy> {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy = await startChaosProxy({ target: { port: address.port }, ...options });
  opened.push(proxy);
  return proxy;
}

async function connectThrough(proxy: ChaosProxy) {
  const arrived = new Promise<End>(resolve => {
    accepted = resolve;
  });
  const client = new End(connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true }));
  opened.push({ close: () => client.socket.destroy() });
  const far = await arrived;
  const connection = await proxy.connected(proxy.connections.length);
  return { client, far, connection };
}

test('in fair weather bytes pass both ways, are counted, and FIN follows them', async () => {
  const proxy = await startProxy();
  const { client, far, connection } = await connectThrough(proxy);
  const block = Buffer.alloc(3_000_000, 'x');
  client.socket.write(block);
  await far.until(end => end.bytes === block.length);
  far.socket.end('answer');
  await client.until(end => end.ending === 'fin');
  expect(client.text).toBe('answer');
  client.socket.end('more'); // the other half is still open
  await far.until(end => end.ending === 'fin');
  expect(far.bytes).toBe(block.length + 4);
  await connection.until(one => one.isClosed);
  expect(connection.toServer).toMatchObject({
    receivedBytes: 3_000_004,
    deliveredBytes: 3_000_004,
    droppedBytes: 0,
  });
  expect(connection.toClient).toMatchObject({ receivedBytes: 6, deliveredBytes: 6 });
});

test('RST passes as RST', async () => {
  const { client, far } = await connectThrough(await startProxy());
  far.socket.resetAndDestroy();
  await client.closed;
  expect(client.ending).toBe('rst');
});

test('a target that refuses looks like one', async () => {
  const proxy = await startChaosProxy({ target: { port: 1 } });
  opened.push(proxy);
  const client = new End(connect(proxy.port, proxy.host));
  await client.closed;
  expect(client.ending).toBe('rst');
});

test('latency holds every byte back equally, and bytes in flight do not wait for each other', async () => {
  const clock = createManualClock();
  const { client, far, connection } = await connectThrough(
    await startProxy({ clock, toServer: { latencyMs: 100 } }),
  );
  client.socket.write('a');
  await connection.until(one => one.toServer.receivedBytes === 1);
  await clock.advance(60);
  client.socket.write('b');
  await connection.until(one => one.toServer.receivedBytes === 2);
  await clock.advance(39);
  expect(connection.toServer.deliveredBytes).toBe(0);
  await clock.advance(1);
  await far.until(end => end.text === 'a');
  await clock.pendingReached(1);
  await clock.advance(59);
  expect(connection.toServer.deliveredBytes).toBe(1);
  await clock.advance(1);
  await far.until(end => end.text === 'ab');
  far.socket.write('no latency back');
  await client.until(end => end.text === 'no latency back');
});

test('jitter is drawn from the seed and keeps the order', async () => {
  const arrivals = async (seed: number) => {
    const clock = createManualClock();
    const { client, far, connection } = await connectThrough(
      await startProxy({ clock, seed, both: { jitterMs: 50 } }),
    );
    for (let sent = 1; sent <= 5; sent++) {
      client.socket.write(String(sent));
      await connection.until(one => one.toServer.receivedBytes === sent);
    }
    const startedAtMs = clock.monotonic();
    const times: number[] = [];
    while (far.bytes < 5) {
      const before = connection.toServer.deliveredBytes;
      if (!(await clock.advanceToNext())) break;
      await connection.until(one => one.toServer.deliveredBytes > before);
      times.push(clock.monotonic() - startedAtMs);
      await far.until(end => end.bytes >= connection.toServer.deliveredBytes);
    }
    expect(far.text).toBe('12345');
    return times;
  };
  const first = await arrivals(7);
  expect(await arrivals(7)).toEqual(first);
  expect(await arrivals(8)).not.toEqual(first);
  expect(first).toEqual([...first].sort((left, right) => left - right));
});

test('bandwidth: so many bytes a second', async () => {
  const clock = createManualClock();
  const { client, connection } = await connectThrough(
    await startProxy({ clock, both: { bytesPerSecond: 1_000 } }),
  );
  client.socket.write(Buffer.alloc(500));
  for (let sent = 50; sent <= 500; sent += 50) {
    await clock.pendingReached(1);
    expect(connection.toServer.deliveredBytes).toBe(sent - 50);
    await clock.advance(50);
    await connection.until(one => one.toServer.deliveredBytes === sent);
  }
});

test.each([
  ['1 byte', 1, 1, 1],
  ['1 to 4 bytes', { min: 1, max: 4 }, 1, 4],
] as const)('[F28] slices of %s arrive whole and in order', async (_name, sliceBytes, smallest, largest) => {
  const { client, far, connection } = await connectThrough(await startProxy({ toServer: { sliceBytes } }));
  const text = 'data: żółw 🐢\n\n'.repeat(20);
  const deliveries: number[] = [];
  const watched = connection.until(one => {
    if (one.toServer.deliveredBytes > (deliveries.at(-1) ?? 0)) deliveries.push(one.toServer.deliveredBytes);
    return one.toServer.deliveredBytes === Buffer.byteLength(text);
  });
  client.socket.write(text);
  await watched;
  await far.until(end => end.bytes === Buffer.byteLength(text));
  expect(far.text).toBe(text);
  const sizes = deliveries.map((total, index) => total - (deliveries[index - 1] ?? 0));
  expect(Math.min(...sizes)).toBe(smallest);
  expect(Math.max(...sizes)).toBe(largest);
});

test('a blackhole takes bytes and gives none, until it is lifted', async () => {
  const proxy = await startProxy({ toClient: { blackhole: true } });
  const { client, far, connection } = await connectThrough(proxy);
  far.socket.write('lost');
  await connection.until(one => one.toClient.droppedBytes === 4);
  client.socket.write('heard');
  await far.until(end => end.text === 'heard');
  proxy.set({ toClient: { blackhole: false } });
  far.socket.write('again');
  await client.until(end => end.text === 'again');
});

test('[F22] half open: neither side learns that the other is gone', async () => {
  const { client, far, connection } = await connectThrough(await startProxy());
  client.socket.write('hello');
  await far.until(end => end.text === 'hello');
  connection.isolate();
  client.socket.destroy();
  await client.closed;
  far.socket.write('anyone?');
  await connection.until(one => one.toClient.droppedBytes === 7);
  expect(far.ending).toBeUndefined();
  expect(far.socket.destroyed).toBe(false);
  connection.reset();
  await far.closed;
  expect(far.ending).toBe('rst');
});

test.each(['rst', 'fin'] as const)('[F26] cut with %s after any number of bytes, each way', async cutWith => {
  const proxy = await startProxy();
  for (const direction of ['toServer', 'toClient'] as const) {
    for (const cutAfterBytes of [0, 1, 2, 7]) {
      const { client, far, connection } = await connectThrough(proxy);
      const [from, to] = direction === 'toServer' ? [client, far] : [far, client];
      connection.set({ [direction]: { cutAfterBytes, cutWith } });
      from.socket.write('12345678');
      await to.until(end => end.ending !== undefined);
      expect(to.ending).toBe(cutWith);
      expect(to.text).toBe('12345678'.slice(0, cutAfterBytes));
      expect(connection[direction].deliveredBytes).toBe(cutAfterBytes);
      to.socket.end();
      await connection.until(one => one.isClosed);
    }
  }
});

test('reset breaks both sides at once, one connection or all', async () => {
  const proxy = await startProxy();
  const one = await connectThrough(proxy);
  const two = await connectThrough(proxy);
  one.connection.reset();
  await Promise.all([one.client.closed, one.far.closed]);
  expect([one.client.ending, one.far.ending]).toEqual(['rst', 'rst']);
  expect(two.connection.isClosed).toBe(false);
  proxy.reset();
  await Promise.all([two.client.closed, two.far.closed]);
});

test('pause keeps everything, even the end, and resume lets it go', async () => {
  const proxy = await startProxy();
  const { client, far, connection } = await connectThrough(proxy);
  proxy.pause();
  connection.pause();
  client.socket.end('kept');
  await connection.until(one => one.toServer.receivedBytes === 4);
  proxy.resume();
  await new Promise(setImmediate);
  expect(connection.toServer.deliveredBytes).toBe(0);
  connection.resume();
  await far.until(end => end.ending === 'fin');
  expect(far.text).toBe('kept');
});

test('a paused line holds its sender back', async () => {
  const proxy = await startProxy();
  const { client, far, connection } = await connectThrough(proxy);
  proxy.pause();
  const block = Buffer.alloc(64 * 1024 * 1024);
  client.socket.write(block);
  await connection.until(one => one.toServer.receivedBytes > 1024 * 1024);
  await new Promise(setImmediate);
  expect(connection.toServer.receivedBytes).toBeLessThan(2 * 1024 * 1024);
  proxy.resume();
  await far.until(end => end.bytes === block.length);
});

test('the weather of a connection goes before that of the proxy', async () => {
  const proxy = await startProxy({ both: { blackhole: true } });
  const { client, far, connection } = await connectThrough(proxy);
  connection.set({ toServer: { blackhole: false } });
  client.socket.write('through');
  await far.until(end => end.text === 'through');
  far.socket.write('lost');
  await connection.until(one => one.toClient.droppedBytes === 4);
});

test('refused connections are reset, later ones are not', async () => {
  const proxy = await startProxy();
  proxy.refuse(true);
  const refused = new End(connect(proxy.port, proxy.host));
  await refused.closed;
  expect(refused.ending).toBe('rst');
  proxy.refuse(false);
  const { client, far } = await connectThrough(proxy);
  client.socket.write('hello');
  await far.until(end => end.text === 'hello');
});

test('close ends every socket, paused, slow or isolated', async () => {
  const proxy = await startProxy({ both: { latencyMs: 60_000 } });
  const one = await connectThrough(proxy);
  const two = await connectThrough(proxy);
  one.client.socket.write('late');
  await one.connection.until(({ toServer }) => toServer.receivedBytes === 4);
  two.connection.isolate();
  proxy.pause();
  const waiting = expect(two.connection.until(() => false)).rejects.toThrow('The chaos proxy was closed');
  await proxy.close();
  await waiting;
  await Promise.all(
    [one.client, one.far, two.client, two.far].map(end => end.until(({ ending }) => ending !== undefined)),
  );
  opened.splice(opened.indexOf(proxy), 1);
});
