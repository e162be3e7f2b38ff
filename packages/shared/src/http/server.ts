import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import type { ServerConfig } from '../config/listen.ts';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate } from '../identity/caller.ts';
import type { LiveCalls } from '../identity/live-calls.ts';
import { InFlightSet } from '../in-flight.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { addBuiltInRoutes, type ReadinessCheck } from './built-in-routes.ts';
import { createFastify, maxHeaderBytes, maxParamLength } from './create-fastify.ts';
import type { DirectRoute } from './direct-request.ts';
import { DirectRoutes } from './direct-routes.ts';
import { createDrain } from './drain.ts';
import { addDoor } from './fastify-door.ts';
import { addErrorAnswers } from './fastify-errors.ts';
import { createGuessGuard } from './guess-guard.ts';
import { createHostCheck } from './host-check.ts';
import { acceptHttp2Cleartext } from './http2-cleartext.ts';
import { LoadShedder } from './load-shedder.ts';
import { jsonOnly, requireMediaType } from './media-type.ts';
import { type KnownRoute, routePattern } from './not-found.ts';
import type { RefusalDeps, RefusedRequest } from './render-refusal.ts';
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
  /** Other spellings of the paths that there are: what is asked for by a url of a request, its path and query. The url itself by default. */
  readonly readUrl?: ((url: string) => string) | undefined;
  /** Every request of a known caller is in it, so that it can be stopped with its key or run. */
  readonly live: LiveCalls;
  /** The shape of errors where a route names no other. */
  readonly errors: ErrorRenderer;
  /** The same where path or headers tell who asks. */
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
  const app = createFastify(config, {
    ...{ shouldUpgradeCallback: upgrades.wants, direct, readUrl: options.readUrl },
    refusePath: (error, request, reply) => errorAnswers.refusePath(error, request, reply),
  });
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
  const { checkHost, isAllowedHost } = createHostCheck({
    listenHost: config.host,
    allowedHosts: config.allowed_hosts,
  });

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

  addDoor(app, {
    ...{ shedder, authenticate, checkHost },
    guesses: createGuessGuard(clock),
    isDraining: () => drain.isDraining,
    onCaller: request => signals.follow(request),
  });
  const errorAnswers = addErrorAnswers(app, {
    ...{ refusals, routes, errors: options.errors, errorsFor: options.errorsFor },
    maxBodyBytes: config.max_body_bytes,
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
