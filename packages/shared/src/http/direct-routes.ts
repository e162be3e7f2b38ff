import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import createRouter from 'find-my-way';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Authenticate } from '../identity/caller.ts';
import { type DirectMatch, DirectRequest, type DirectRoute } from './direct-request.ts';
import { pathInvalid } from './not-found.ts';
import { answerPreflight, pageHeaders, preflightMethod } from './page-access.ts';
import { credentialHeaders } from './query-key.ts';
import { readBody } from './read-body.ts';
import { type RefusalDeps, renderRefusal } from './render-refusal.ts';
import { type LifeDeps, RequestLife } from './request-life.ts';
import type { RecordRequest } from './request-telemetry.ts';
import { sendBytes } from './send-whole.ts';

export interface DirectRoutesDeps {
  readonly clock: Clock;
  readonly lives: LifeDeps;
  readonly refusals: RefusalDeps;
  readonly authenticate: Authenticate;
  readonly maxBodyBytes: number;
  readonly maxParamLength: number;
  /** Refuses what no request may be let in for, before anything is read of it. Returns how to leave. @throws GatewayError */
  admit(headers: IncomingHttpHeaders, mediaTypes: readonly string[] | undefined): () => void;
  readonly isHostAllowed: (host: string | undefined) => boolean;
  readonly record: RecordRequest;
  readonly isDraining: () => boolean;
}

const maxRecent = 1000;
const maxRecentLength = 256;

/**
 * Answers the requests of some paths on Node's own objects, for where a request must cost little: what Fastify does around a handler (its
 * request, its reply, its hooks, its parsers) costs as much as all that a gateway does for a short request.
 * Such a request meets the same door as every other, in the same order: host, media type, load, credential, and only then is a byte of its body read.
 */
export class DirectRoutes {
  readonly #deps: DirectRoutesDeps;
  readonly #router: ReturnType<typeof createRouter>;
  /** Paths without a parameter, by themselves. */
  readonly #plain = new Map<string, Map<string, DirectMatch>>();
  /** The same for paths with parameters that were found: most requests are to one of few. */
  readonly #recent = new Map<string, Map<string, DirectMatch>>();

  constructor(deps: DirectRoutesDeps) {
    this.#deps = deps;
    this.#router = createRouter({
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      maxParamLength: Number.MAX_SAFE_INTEGER, // `requireShort` has its word, in the shape of the route
    });
  }

  add(route: DirectRoute): void {
    this.#router.on([...route.methods], route.url, neverCalled, route);
    if (/[:*]/.test(route.url)) return;
    const byMethod = this.#plain.get(route.url) ?? new Map<string, DirectMatch>();
    this.#plain.set(route.url, byMethod);
    for (const method of route.methods) byMethod.set(method, { route, params: {}, query: {} });
  }

  /** False where the path is none of these; then nothing was done. */
  serve(raw: IncomingMessage, response: ServerResponse): boolean {
    const match = this.#find(raw.method ?? '', raw.url ?? '/');
    if (match === undefined) return this.#servePreflight(raw, response);
    const { lives, clock } = this.#deps;
    const life = new RequestLife(response, lives);
    const request = new DirectRequest({ raw, response }, match, { life, startedAtMs: clock.monotonic() });
    void this.#answer(request);
    return true;
  }

  /** Asked before anybody is known: whether a page may call, and nothing of what is here. */
  #servePreflight(raw: IncomingMessage, response: ServerResponse): boolean {
    const { route } = this.#find(preflightMethod(raw) ?? '', raw.url ?? '/') ?? {};
    const page = pageHeaders(raw.headers, route?.isInvitedPage);
    if (route === undefined || page === undefined || !this.#deps.isHostAllowed(raw.headers.host))
      return false;
    answerPreflight(raw, response, { page, methods: route.methods });
    return true;
  }

  #find(method: string, url: string): DirectMatch | undefined {
    if (method !== 'POST' && method !== 'GET' && method !== 'DELETE') return undefined;
    const plain = this.#plain.get(url)?.get(method);
    if (plain !== undefined) return plain;
    return this.#recent.get(url)?.get(method) ?? this.#search(method, url);
  }

  #search(method: DirectRoute['methods'][number], url: string): DirectMatch | undefined {
    const found = this.#router.find(method, url);
    if (found === null) return undefined;
    const match = { route: found.store as DirectRoute, params: found.params, query: found.searchParams }; // `add` stores nothing else
    if (url.length > maxRecentLength || url.includes('?')) return match; // what stands in a query is often another one each time, or a secret
    if (this.#recent.size >= maxRecent) this.#recent.clear();
    this.#recent.set(url, (this.#recent.get(url) ?? new Map()).set(method, match));
    return match;
  }

  async #answer(request: DirectRequest): Promise<void> {
    const { authenticate, admit, isDraining, maxBodyBytes, maxParamLength, record, clock } = this.#deps;
    const { route, raw, response } = request;
    request.onClose(() => {
      if (!response.writableFinished) return;
      const seconds = (clock.monotonic() - request.startedAtMs) / 1000;
      record({
        id: request.id,
        method: request.method,
        route: route.url,
        status: response.statusCode,
        seconds,
      });
    });
    try {
      if (isDraining()) request.replyHeaders.connection = 'close';
      Object.assign(request.replyHeaders, pageHeaders(raw.headers, route.isInvitedPage));
      requireShort(request.params, maxParamLength);
      request.onClose(admit(raw.headers, route.mediaTypes));
      request.follow(await authenticate(credentialHeaders(request, route.queryKey)));
      if (raw.method !== 'GET')
        request.body = await (route.receive?.(request) ?? readBody(raw, maxBodyBytes));
      await route.handle(request);
    } catch (error) {
      await this.#refuse(request, GatewayError.from(error));
    }
  }

  async #refuse(request: DirectRequest, error: GatewayError): Promise<void> {
    const { id, method, raw, ip, traceContext, routeOptions, knownCaller: caller, response } = request;
    const refused = { id, method, raw, ip, caller, traceContext, routeOptions };
    const rendered = await renderRefusal(this.#deps.refusals, refused, {
      error,
      render: request.route.errors,
    });
    if (response.headersSent) response.destroy(); // it broke in the middle of its own answer
    if (response.destroyed) return;
    const headers = { ...request.replyHeaders, ...rendered.headers };
    sendBytes(response, rendered.status, { headers, body: Buffer.from(rendered.body) });
  }
}

/** What a wildcard took has no limit but that of the head. */
function requireShort(params: DirectMatch['params'], maxLength: number): void {
  for (const name in params) {
    if (name !== '*' && (params[name]?.length ?? 0) > maxLength) throw pathInvalid();
  }
}

function neverCalled(): never {
  throw new Error('Direct routes are found, and called by their own');
}
