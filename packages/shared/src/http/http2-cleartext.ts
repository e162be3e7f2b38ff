import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { Socket } from 'node:net';

/** RFC 9113 section 3.4: how a client begins that knows it may speak HTTP/2. */
const preface = Buffer.from('PRI * HTTP/2.0');
const drainGraceMs = 700;
const maxConcurrentStreams = 128;

export interface Http2Cleartext {
  /** Ends sessions once their streams are done, and connections that never said a word. */
  drain(): void;
}

/**
 * Lets a server of HTTP/1.1 take HTTP/2 without TLS on the same port, because the AWS SDKs speak it to Bedrock by themselves. The first
 * bytes of a connection decide; its requests then go the way of all others, with the methods that Node gives both.
 */
export function acceptHttp2Cleartext(
  server: Server,
  options: { readonly firstBytesTimeoutMs: number; readonly maxHeaderBytes: number },
): Http2Cleartext {
  const [serveHttp1] = server.listeners('connection') as ((this: Server, socket: Socket) => void)[]; // Node's own
  if (serveHttp1 === undefined) throw new Error('The server does not listen to connections');
  const sessions = new Set<ServerHttp2Session>();
  const silent = new Set<Socket>();
  const http2 = createServer({
    settings: { maxConcurrentStreams, maxHeaderListSize: options.maxHeaderBytes },
  });
  http2.on('session', session => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  http2.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => {
    request.headers.host ??= request.headers[':authority'];
    // The two have the methods in common that Fastify and the endpoints use.
    server.emit('request', request as unknown as IncomingMessage, response as unknown as ServerResponse);
  });
  server.removeListener('connection', serveHttp1);
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    const giveUp = () => socket.destroy();
    socket.setTimeout(options.firstBytesTimeoutMs, giveUp);
    socket.on('error', giveUp);
    socket.once('close', () => silent.delete(socket));
    socket.once('data', (first: Buffer) => {
      silent.delete(socket);
      socket.setTimeout(0);
      socket.removeListener('timeout', giveUp);
      socket.removeListener('error', giveUp);
      socket.pause();
      socket.unshift(first);
      const isHttp2 = first.subarray(0, preface.length).equals(preface);
      if (isHttp2) {
        http2.emit('connection', socket);
        return;
      }
      serveHttp1.call(server, socket);
      process.nextTick(() => socket.resume());
    });
  });
  return {
    drain() {
      for (const session of sessions) session.close();
      for (const socket of silent) socket.setTimeout(drainGraceMs);
    },
  };
}
