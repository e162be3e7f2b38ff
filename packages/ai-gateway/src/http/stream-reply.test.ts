import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { afterEach, expect, test } from 'vitest';
import type { AnswerStream, StreamSink } from '../domain/call.ts';
import { ownShape, type StreamShape, sendStream } from './stream-reply.ts';

let close: () => Promise<void> = async () => {};
afterEach(() => close());

/** A stream that the test writes itself, as a client on a socket sees it. */
async function open(shape: StreamShape) {
  const clock = createManualClock();
  let flowing: StreamSink | undefined;
  const stream: AnswerStream = {
    hasContent: true,
    flow(sink) {
      flowing = sink;
      sink.write('data: 1\n\n');
    },
    onEnd: () => {},
  };
  const server = createServer((_request, response) => sendStream(response, {}, stream, { clock, shape }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  const [response] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  const [text] = (await once(response, 'data')) as [string];
  expect(text).toBe('data: 1\n\n');
  if (flowing === undefined) throw new Error('nothing flows');
  const next = async () => ((await once(response, 'data')) as [string])[0];
  return { clock, sink: flowing, response, next };
}

test('[F38] while the upstream is silent the client gets a comment, and none while events flow', async () => {
  const { clock, sink, response, next } = await open(ownShape('text/event-stream'));
  await clock.advance(15_000); // the first event came inside this time
  let seen = next();
  await clock.advance(15_000);
  expect(await seen).toBe(': keep-alive\n\n');
  seen = next();
  sink.write('data: 2\n\n');
  expect(await seen).toBe('data: 2\n\n');
  seen = next();
  await clock.advance(15_000);
  sink.write('data: 3\n\n');
  expect(await seen).toBe('data: 3\n\n');
  const ended = once(response, 'end');
  sink.end();
  await ended;
  await expect.poll(() => clock.pending).toBe(0);
});

test('[F38] a binary stream has nothing to say while it waits', async () => {
  const { clock, sink, next } = await open(ownShape('application/vnd.amazon.eventstream'));
  await clock.advance(60_000);
  const seen = next();
  sink.write('frame');
  expect(await seen).toBe('frame');
  sink.end();
});

test('a client that leaves stops the comments', async () => {
  const { clock, response } = await open(ownShape('text/event-stream'));
  expect(clock.pending).toBe(1);
  response.destroy();
  await expect.poll(() => clock.pending).toBe(0);
});
