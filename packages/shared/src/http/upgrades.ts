import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate, Caller } from '../identity/caller.ts';
import type { LiveCalls } from '../identity/live-calls.ts';
import { newId } from '../ids.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A client that wants to leave HTTP, and who it is. */
export interface UpgradeRequest {
  readonly id: string;
  readonly url: URL;
  readonly caller: Caller;
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent after its request. */
  readonly head: Buffer;
  /** Fires when the client is gone, with its key or run, and at the drain deadline. */
  readonly signal: AbortSignal;
}

export interface UpgradeRoute {
  readonly path: string;
  readonly errors: ErrorRenderer;
  /** Where such clients put their key when they can set no header. */
  keyOf?(request: IncomingMessage): string | undefined;
  /** Takes the socket over. What it throws is answered over HTTP. @throws GatewayError */
  handle(upgrade: UpgradeRequest): Promise<void>;
}

export interface Upgrades {
  add(route: UpgradeRoute): void;
  /** Whether a request that asks for it leaves HTTP; every other one is answered as if it had not asked (RFC 9110 section 7.8). */
  wants(request: IncomingMessage): boolean;
  /** Ends what is open with a reason. */
  abortAll(reason: GatewayError): void;
}

export interface UpgradeDeps {
  readonly authenticate: Authenticate;
  readonly live: LiveCalls;
  readonly log: Logger;
  /** Refuses what no request may be let in for. @throws GatewayError */
  admit(request: IncomingMessage): () => void;
}

const idPrefix = 'req';

/** The way out of HTTP, with the same door as every request: host, load, credential, and a signal that stops it. */
export function createUpgrades(deps: UpgradeDeps): Upgrades & { listen(server: Server): void } {
  const routes = new Map<string, UpgradeRoute>();
  const open = new Set<AbortController>();

  async function enter(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const url = urlOf(request);
    const route = routes.get(url.pathname);
    const id = newId(idPrefix);
    socket.on('error', () => socket.destroy()); // `close` tells
    if (route === undefined) {
      socket.destroy(); // cannot be: `wants` has let it through
      return;
    }
    try {
      const release = deps.admit(request);
      socket.once('close', release);
      const key = route.keyOf?.(request);
      const caller = await deps.authenticate(
        key === undefined || request.headers.authorization !== undefined
          ? request.headers
          : { ...request.headers, authorization: `Bearer ${key}` },
      );
      const signal = follow(socket, caller);
      await route.handle({ id, url, caller, request, socket, head, signal });
    } catch (error) {
      refuse(socket, route.errors, { error: GatewayError.from(error), requestId: id });
      if (GatewayError.from(error).kind === 'internal')
        deps.log.error({ err: error, requestId: id }, 'upgrade failed');
    }
  }

  function follow(socket: Duplex, caller: Caller): AbortSignal {
    const controller = new AbortController();
    open.add(controller);
    const live = deps.live.add({ caller, abort: reason => controller.abort(reason) });
    socket.once('close', () => {
      open.delete(controller);
      live.leave();
      controller.abort(
        new GatewayError('cancelled', 'The client closed the connection.', { reason: 'client_gone' }),
      );
    });
    return controller.signal;
  }

  return {
    add: route => routes.set(route.path, route),
    wants: request => routes.has(urlOf(request).pathname) && isWebSocket(request),
    abortAll(reason) {
      for (const controller of [...open]) controller.abort(reason);
    },
    listen(server) {
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        void enter(request, socket, head);
      });
    },
  };
}

function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
}

/** Only the path and the query of it mean anything. */
function urlOf({ url = '/' }: IncomingMessage): URL {
  return URL.parse(url, 'http://gateway') ?? new URL('http://gateway/');
}

function refuse(
  socket: Duplex,
  render: ErrorRenderer,
  { error, requestId }: { error: GatewayError; requestId: string },
): void {
  if (!socket.writable) return;
  const { status, headers, body } = render(error, { requestId });
  const lines = Object.entries({ ...headers, 'x-request-id': requestId, connection: 'close' }).map(
    ([name, value]) => `${name}: ${String(value)}\r\n`,
  );
  const length = `content-length: ${Buffer.byteLength(body)}\r\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}${length}\r\n${String(body)}`,
  );
}
