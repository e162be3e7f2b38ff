import { getEventListeners, once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SseReader } from './sse.ts';
import { createSseWriter } from './sse-writer.ts';

let response: ServerResponse;
let client: Socket;
let close: () => Promise<void>;

beforeEach(async () => {
  const server = createServer();
  const got = once(server, 'request');
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  client = connect((server.address() as AddressInfo).port, '127.0.0.1'); // listening on TCP, so it is one
  client.on('error', () => {});
  client.pause();
  client.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  response = (await got)[1];
  close = async () => {
    client.destroy();
    response.destroy();
    await new Promise(resolve => server.close(resolve));
  };
});

afterEach(() => close());

const listenerCount = () =>
  response.listenerCount('drain') +
  response.listenerCount('close') +
  response.listenerCount('error') +
  response.listenerCount('finish');

/** Writes more than the sockets' buffers can take, without waiting; the promise is that of the last write. */
function fill(write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const block = new Uint8Array(1024 * 1024);
  for (let writes = 0; writes < 31; writes++) void write(block);
  return write(block);
}

const isPending = async (promise: Promise<void>) => {
  const settled = promise.then(
    () => false,
    () => false,
  );
  return Promise.race([settled, new Promise<boolean>(resolve => setImmediate(() => resolve(true)))]);
};

test('[F44] a write waits for a slow reader and goes on when it reads', async () => {
  const writer = createSseWriter(response);
  const written = fill(writer.write);
  expect(await isPending(written)).toBe(true);
  client.resume();
  await written;
  await writer.end();
});

test('no listener stays, however many writes wait', async () => {
  const before = listenerCount();
  const controller = new AbortController();
  const writer = createSseWriter(response, { signal: controller.signal });
  const first = fill(writer.write);
  const others = Array.from({ length: 50 }, () => writer.comment('keep-alive'));
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
  client.resume();
  await Promise.all([first, ...others]);
  expect(listenerCount()).toBe(before);
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
});

test('an abort ends the wait with its reason and leaves no listener', async () => {
  const before = listenerCount();
  const controller = new AbortController();
  const writer = createSseWriter(response, { signal: controller.signal });
  const written = fill(writer.write);
  const reason = new Error('deadline');
  controller.abort(reason);
  await expect(written).rejects.toBe(reason);
  await expect(writer.write('more')).rejects.toBe(reason);
  await expect(writer.end()).rejects.toBe(reason);
  expect(listenerCount()).toBe(before);
});

test('[F43] a reader that leaves ends the wait', async () => {
  const writer = createSseWriter(response);
  const written = fill(writer.write);
  client.resetAndDestroy();
  await expect(written).rejects.toThrow();
  await expect(writer.write('more')).rejects.toThrow();
});

test('a write after the end is refused as a closed stream', async () => {
  client.resume();
  const writer = createSseWriter(response);
  await writer.write('data: 1\n\n');
  await writer.end();
  await writer.end();
  await expect(writer.write('more')).rejects.toMatchObject({ kind: 'cancelled', reason: 'stream_closed' });
});

test('events arrive as they were written', async () => {
  const reader = new SseReader();
  const text: Buffer[] = [];
  client.on('data', bytes => text.push(bytes));
  client.resume();
  response.useChunkedEncodingByDefault = false;
  const writer = createSseWriter(response);
  await writer.comment('hi');
  await writer.event({ event: 'delta', data: 'one\ntwo', id: '1' });
  await writer.end();
  await once(client, 'close');
  const body = Buffer.concat(text).toString().split('\r\n\r\n').slice(1).join('\r\n\r\n');
  expect(reader.push(Buffer.from(body))).toEqual([{ event: 'delta', data: 'one\ntwo', id: '1' }]);
});
