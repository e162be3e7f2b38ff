import { createServer as createHttp1, type RequestListener } from 'node:http';
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer, type Socket } from 'node:net';

export interface Listener {
  readonly port: number;
  /** Cuts every connection and stops listening. */
  close(): Promise<void>;
}

/** RFC 9113, 3.4: how a client begins that knows it may speak HTTP/2. */
const preface = Buffer.from('PRI * HTTP/2.0');

/**
 * Serves HTTP/1.1 and HTTP/2 without TLS on one port: the AWS SDK speaks HTTP/2 to Bedrock and all the others speak HTTP/1.1.
 * Node's HTTP/2 answers have the same methods as its HTTP/1.1 answers.
 */
export async function listen(
  options: { readonly port: number; readonly host: string },
  onRequest: RequestListener,
): Promise<Listener> {
  const http1 = createHttp1({ noDelay: true, keepAlive: true, requestTimeout: 0 }, onRequest);
  http1.keepAliveTimeout = 60_000;
  const http2 = createHttp2(
    onRequest as unknown as (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  );
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // A client that leaves before it said anything.
    socket.on('error', () => socket.destroy());
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const isHttp2 = first.subarray(0, preface.length).equals(preface);
      (isHttp2 ? http2 : http1).emit('connection', socket);
      if (!isHttp2) process.nextTick(() => socket.resume());
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The simulator has no port');
  return {
    port: address.port,
    close: async () => {
      const closed = new Promise(resolve => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
