import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Clock } from '../clock.ts';
import type { ServerConfig } from '../config/listen.ts';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate, Caller } from '../identity/caller.ts';
import type { LiveCalls } from '../identity/live-calls.ts';
import { newId } from '../ids.ts';
import { InFlightSet } from '../in-flight.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { addBuiltInRoutes, type ReadinessCheck } from './built-in-routes.ts';
import type { DirectRoute } from './direct-request.ts';
import { DirectRoutes } from './direct-routes.ts';
import { createDrain } from './drain.ts';
import { createGuessGuard, type GuessGuard } from './guess-guard.ts';
import { createHostCheck } from './host-check.ts';
import { acceptHttp2Cleartext } from './http2-cleartext.ts';
import { LoadShedder } from './load-shedder.ts';
import { requireMediaType } from './media-type.ts';
import { explainNotFound, type KnownRoute, pathInvalid, routePattern } from './not-found.ts';
import { credentialHeaders } from './query-key.ts';
import { bodyTooLarge, lengthMismatch } from './read-body.ts';
import { type RefusalDeps, type RefusedRequest, renderRefusal } from './render-refusal.ts';
import type { LifeDeps } from './request-life.ts';
import { addRequestSignals } from './request-signals.ts';
import { addRequestTelemetry, createRequestTelemetry } from './request-telemetry.ts';
import type { Access } from './route-access.ts';
import { createUpgrades, type UpgradeRoute } from './upgrades.ts';

export interface GatewayServerOptions {
  readonly name: string;
  readonly config: ServerConfig;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly authenticate: Authenticate;
  /** Whether clients may speak HTTP/2 without TLS, beside HTTP/1.1. */
  readonly acceptsHttp2?: boolean;
  /** Every request of a known caller is in it, so that it can be stopped with its key or run. */
  readonly live: LiveCalls;
  /** The shape of errors where a route names no other. */
  readonly errors: ErrorRenderer;
  /** The same for requests that no route takes, where path or headers tell who asks. */
  readonly errorsFor?: (path: string, headers: IncomingHttpHeaders) => ErrorRenderer | undefined;
  /** Told of every request that is answered with `unauthenticated` or `permission_denied`. */
  readonly onRefused?: (request: RefusedRequest, error: GatewayError) => void;
}

export interface GatewayServer {
  /** Register routes here before `start`. Bodies arrive as Buffers. */
  readonly app: FastifyInstance;
  addReadinessCheck(name: string, check: ReadinessCheck): void;
  /** A path on which clients may leave HTTP for WebSocket. Call before `start`. */
  addUpgrade(route: UpgradeRoute): void;
  /** A path that is answered without Fastify, and before it. Call before `start`. */
  addDirect(route: DirectRoute): void;
  /** Every route there is, in the order of registration. */
  readonly routes: readonly RouteEntry[];
  start(): Promise<{ url: string }>;
  /** Stops accepting, lets what is open finish, and resolves when the last connection is gone. */
  drain(): Promise<void>;
  readonly isDraining: boolean;
}

export interface RouteEntry {
  readonly method: string;
  readonly url: string;
  readonly access: Access;
}

const jsonOnly = ['application/json'];
const maxHeaderBytes = 16 * 1024;
const maxHeaders = 100;
const tcpKeepAliveMs = 30_000;
const maxParamLength = 256;

/** The HTTP server of every gateway: limits on everything, deny by default, errors in the shape of the route, drain. */
export function createGatewayServer(options: GatewayServerOptions): GatewayServer {
  const { config, telemetry, clock, authenticate, live } = options;
  const shedder = new LoadShedder(config);
  const upgrades = createUpgrades({
    authenticate,
    live,
    log: telemetry.log,
    admit(request) {
      checkHost(request.headers.host);
      if (drain.isDraining) throw shuttingDown();
      shedder.admit();
      return () => shedder.release();
    },
  });
  const lives: LifeDeps = { live, clock, watched: new InFlightSet() };
  const refusals: RefusalDeps = { clock, log: telemetry.log, onRefused: options.onRefused };
  const record = createRequestTelemetry(telemetry);
  const direct = new DirectRoutes({
    ...{ clock, lives, refusals, authenticate, record, maxParamLength },
    maxBodyBytes: config.max_body_bytes,
    isDraining: () => drain.isDraining,
    isHostAllowed: host => isAllowedHost(host),
    admit(headers, mediaTypes = jsonOnly) {
      checkHost(headers.host);
      requireMediaType(headers, mediaTypes);
      shedder.admit();
      return () => shedder.release();
    },
  });
  const app = createFastify(config, { shouldUpgradeCallback: upgrades.wants, direct });
  upgrades.listen(app.server);
  const signals = addRequestSignals(app, lives);
  const http2 = options.acceptsHttp2
    ? acceptHttp2Cleartext(app.server, {
        firstBytesTimeoutMs: config.headers_timeout_ms,
        maxHeaderBytes,
      })
    : undefined;
  const drain = createDrain({
    server: app.server,
    clock,
    timeoutMs: config.drain_timeout_ms,
    onDeadline() {
      for (const life of lives.watched) life.lastCall(shuttingDown());
      upgrades.abortAll(shuttingDown());
    },
  });
  const routes: KnownRoute[] = [];
  const table: RouteEntry[] = [];
  const readiness = new Map<string, ReadinessCheck>();
  const guesses = createGuessGuard(clock);
  const { checkHost, isAllowedHost } = createHostCheck({
    listenHost: config.host,
    allowedHosts: config.allowed_hosts,
  });

  app.server.maxConnections = config.max_connections;
  app.server.maxHeadersCount = maxHeaders;
  app.server.on('connection', (socket: Socket) => socket.setKeepAlive(true, tcpKeepAliveMs));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.addHook('onRoute', route => {
    if (route.config?.access === undefined) {
      throw new Error(
        `Route ${String(route.method)} ${route.url} does not say who may call it (config.access)`,
      );
    }
    for (const method of [route.method].flat()) {
      routes.push({ method, pattern: routePattern(route.url), errors: route.config.errors });
      table.push({ method, url: route.url, access: route.config.access });
    }
  });

  // Everything that can be refused is refused here, before a byte of the body is read.
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    if (drain.isDraining) void reply.header('connection', 'close');
    const { config: route, url } = request.routeOptions;
    const access = route.access ?? 'public';
    try {
      checkHost(request.headers.host);
      if (url !== undefined) requireMediaType(request.headers, route.mediaTypes ?? jsonOnly);
      if (access === 'public') {
        done();
        return;
      }
      shedder.admit();
      reply.raw.once('close', () => shedder.release());
    } catch (error) {
      done(GatewayError.from(error));
      return;
    }
    const isGuarded = route.holdOffGuesses === true;
    callerOf(request, isGuarded ? guesses : undefined).then(
      caller => {
        request.caller = caller;
        signals.follow(request);
        done(access === 'admin' && !caller.isAdmin ? adminOnly() : undefined);
      },
      (error: unknown) => done(GatewayError.from(error)),
    );
  });

  async function callerOf(request: FastifyRequest, guard: GuessGuard | undefined): Promise<Caller> {
    if (guard === undefined)
      return authenticate(credentialHeaders(request, request.routeOptions.config.queryKey));
    await guard.begin(request);
    try {
      const caller = await authenticate(credentialHeaders(request, request.routeOptions.config.queryKey));
      guard.ended(request, 'right');
      return caller;
    } catch (error) {
      const { kind, reason } = GatewayError.from(error);
      guard.ended(request, kind === 'unauthenticated' && reason !== 'key_missing' ? 'wrong' : 'unknown');
      throw error;
    }
  }

  const answerError = async (
    request: FastifyRequest,
    reply: FastifyReply,
    error: GatewayError,
    errors?: ErrorRenderer,
  ) => {
    const render = errors ?? request.routeOptions.config.errors ?? options.errors;
    const { status, headers, body } = await renderRefusal(refusals, request, { error, render });
    return reply.code(status).headers(headers).send(body);
  };

  app.setErrorHandler((error, request, reply) =>
    answerError(
      request,
      reply,
      toGatewayError(error as FastifyError, request.routeOptions.bodyLimit ?? config.max_body_bytes),
    ),
  );
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const { error, allow, errors } = explainNotFound(routes, request.method, path);
    if (allow !== undefined) void reply.header('allow', allow);
    return answerError(request, reply, error, options.errorsFor?.(path, request.headers) ?? errors);
  });
  addRequestTelemetry(app, record);
  addBuiltInRoutes(app, { telemetry, readiness, isDraining: () => drain.isDraining });
  app.addHook('onClose', async () => shedder.close());

  return {
    app,
    routes: table,
    addReadinessCheck: (name, check) => readiness.set(name, check),
    addUpgrade: upgrades.add,
    addDirect(route) {
      const { url, errors } = route;
      for (const method of route.methods) {
        routes.push({ method, pattern: routePattern(url), errors });
        table.push({ method, url, access: 'caller' });
      }
      direct.add(route);
    },
    async start() {
      await app.listen({ host: config.host, port: config.port });
      const { address, port, family } = app.server.address() as AddressInfo; // a TCP server that listens has one
      return { url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}` };
    },
    async drain() {
      http2?.drain();
      await drain.start();
      await app.close();
    },
    get isDraining() {
      return drain.isDraining;
    },
  };
}

function shuttingDown(): GatewayError {
  return new GatewayError('overloaded', 'The gateway is shutting down.', { reason: 'draining' });
}

function createFastify(
  config: ServerConfig,
  {
    shouldUpgradeCallback,
    direct,
  }: { shouldUpgradeCallback(request: IncomingMessage): boolean; direct: DirectRoutes },
): FastifyInstance {
  return Fastify({
    logger: false,
    trustProxy: false,
    bodyLimit: config.max_body_bytes,
    forceCloseConnections: false,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    requestIdHeader: false,
    genReqId: () => newId('req'),
    routerOptions: {
      maxParamLength,
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
    },
    serverFactory: serveByFastify =>
      createHttpServer(config, shouldUpgradeCallback, (request, response) => {
        if (!direct.serve(request, response)) serveByFastify(request, response);
      }),
    clientErrorHandler: refuseConnection,
  });
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
      shouldUpgradeCallback,
    },
    listener,
  );
  server.setTimeout(config.idle_timeout_ms);
  return server;
}

function adminOnly(): GatewayError {
  return new GatewayError('permission_denied', 'This route needs an admin key.', {
    reason: 'admin_required',
  });
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

/** Fastify's own refusals by their code; whatever else is thrown is unforeseen. */
function toGatewayError(error: FastifyError, maxBodyBytes: number): GatewayError {
  if (error instanceof GatewayError) return error;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge(maxBodyBytes, error);
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return lengthMismatch(error);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new GatewayError('unsupported_media_type', 'The content type is missing or not supported.', {
        reason: 'media_type_unsupported',
        cause: error,
      });
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return pathInvalid(error);
    default:
      return GatewayError.from(error);
  }
}
