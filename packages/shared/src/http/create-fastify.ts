import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { ServerConfig } from '../config/listen.ts';
import { newId } from '../ids.ts';
import type { DirectRoutes } from './direct-routes.ts';

export const maxHeaderBytes = 16 * 1024;
export const maxParamLength = 256;
const maxHeaders = 100;
const tcpKeepAliveMs = 30_000;
/** What may wait to be sent to a client before who writes has to wait: each slow reader costs about that much (F44). */
const unsentBytes = 8 * 1024;

/** Fastify on a server that asks the direct routes first, with limits on everything. Bodies arrive as Buffers. */
export function createFastify(
  config: ServerConfig,
  {
    shouldUpgradeCallback,
    direct,
    refusePath,
    readUrl,
  }: {
    shouldUpgradeCallback(request: IncomingMessage): boolean;
    direct: DirectRoutes;
    /** Answers a request whose path the router cannot read. */
    refusePath(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void;
    readonly readUrl: ((url: string) => string) | undefined;
  },
): FastifyInstance {
  // Before anything looks at it, so that nothing sees two.
  const rename = (request: IncomingMessage): void => {
    if (readUrl !== undefined && request.url !== undefined) request.url = readUrl(request.url);
  };
  const wantsUpgrade = (request: IncomingMessage): boolean => {
    rename(request);
    return shouldUpgradeCallback(request);
  };
  const app = Fastify({
    logger: false,
    trustProxy: false,
    bodyLimit: config.max_body_bytes,
    forceCloseConnections: false,
    return503OnClosing: false,
    exposeHeadRoutes: true,
    frameworkErrors: refusePath,
    requestIdHeader: false,
    genReqId: () => newId('req'),
    routerOptions: {
      maxParamLength,
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
    },
    serverFactory: serveByFastify =>
      createHttpServer(config, wantsUpgrade, (request, response) => {
        rename(request);
        if (!direct.serve(request, response)) serveByFastify(request, response);
      }),
    clientErrorHandler: refuseConnection,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  return app;
}

function createHttpServer(
  config: ServerConfig,
  shouldUpgradeCallback: (request: IncomingMessage) => boolean,
  listener: RequestListener,
): Server {
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: config.headers_timeout_ms,
      requestTimeout: config.request_timeout_ms,
      keepAliveTimeout: config.keep_alive_timeout_ms,
      connectionsCheckingInterval: Math.min(5000, config.headers_timeout_ms),
      requireHostHeader: true,
      insecureHTTPParser: false,
      noDelay: true,
      highWaterMark: unsentBytes,
      shouldUpgradeCallback,
    },
    listener,
  );
  server.setTimeout(config.idle_timeout_ms);
  server.maxConnections = config.max_connections;
  server.maxHeadersCount = maxHeaders;
  server.on('connection', (socket: Socket) => socket.setKeepAlive(true, tcpKeepAliveMs));
  return server;
}

/** Bytes that are not HTTP, headers that are too long or too slow: a plain answer where one can still be written, then the end. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
