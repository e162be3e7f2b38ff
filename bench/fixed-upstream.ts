/**
 * The lightest upstream there can be, so that what is measured is the gateway: bare sockets, answers made beforehand. A chat completion whole; with
 * `"stream":true` as many events as the request header `x-events` says, `x-gap-ms` apart (0: as fast as they are taken).
 */
import { createServer, type Socket } from 'node:net';
import { streamEvents, wholeAnswer } from './wire-answers.ts';
import { takeRequest } from './wire-request.ts';

const port = Number(process.env.PORT ?? 0);

const server = createServer(socket => {
  socket.setNoDelay(true);
  socket.on('error', () => {}); // a client that leaves in the middle
  let held: Buffer = Buffer.alloc(0);
  socket.on('data', chunk => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      const request = takeRequest(held);
      if (request === undefined) return;
      held = request.rest;
      answer(socket, request.head, request.body);
    }
  });
});

function answer(socket: Socket, head: string, body: string): void {
  if (!body.includes('"stream":true')) {
    socket.write(wholeAnswer(head));
    return;
  }
  const events = Number(/x-events: (\d+)/i.exec(head)?.[1] ?? 64);
  const gapMs = Number(/x-gap-ms: (\d+)/i.exec(head)?.[1] ?? 0);
  stream(socket, streamEvents(head, events), gapMs);
}

function stream(socket: Socket, events: readonly string[], gapMs: number): void {
  const chunks = events.map(event => `${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`);
  socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n');
  let index = 0;
  const next = () => {
    if (socket.destroyed) return;
    const chunk = chunks[index++];
    if (chunk === undefined) {
      socket.write('0\r\n\r\n');
      return;
    }
    socket.write(chunk);
    if (gapMs > 0) setTimeout(next, gapMs);
    else setImmediate(next);
  };
  next();
}

server.listen(port, '127.0.0.1', () => {
  const address = server.address();
  const { port: bound } = address as { port: number }; // a TCP server that listens has one
  process.send?.({ type: 'ready', name: 'fixed-upstream', url: `http://127.0.0.1:${bound}` });
});
process.once('SIGTERM', () => process.exit(0));
