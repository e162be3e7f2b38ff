import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { SpanContext } from '@opentelemetry/api';
import type { ErrorRenderer } from '../errors/error-renderer.ts';
import type { Caller } from '../identity/caller.ts';
import { newId } from '../ids.ts';
import type { StopSignal } from '../resilience/stop-signal.ts';
import type { IsInvitedPage } from './page-access.ts';
import type { RequestLife } from './request-life.ts';
import { singleHeader } from './request-signals.ts';
import { traceContextOf } from './trace-context.ts';

/** A path whose requests are answered without Fastify. Every one of them needs a valid key or envelope. */
export interface DirectRoute {
  readonly methods: readonly ('GET' | 'POST' | 'DELETE')[];
  /** As Fastify writes paths: `/providers/:name/*`. */
  readonly url: string;
  /** The shape of errors. */
  readonly errors: ErrorRenderer;
  /** The query parameter in which a client may send its key, for APIs whose clients do. It is never logged. */
  readonly queryKey?: string | undefined;
  /** Exact media types of bodies that the route takes. `application/json` otherwise. */
  readonly mediaTypes?: readonly string[] | undefined;
  /** Web pages that may call; without it the scripts of none can read an answer. */
  readonly isInvitedPage?: IsInvitedPage | undefined;
  /** Takes the body in a way of its own, with a limit of its own. */
  receive?(request: DirectRequest): Promise<Buffer>;
  /** Answers over `response`. What it throws is answered in the shape of the route. */
  handle(request: DirectRequest): Promise<void>;
}

/** Where a path led. */
export interface DirectMatch {
  readonly route: DirectRoute;
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** One request to a direct route: with its body and its caller by the time it is handled. */
export class DirectRequest {
  readonly id = newId('req');
  readonly raw: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: DirectRoute;
  readonly params: DirectMatch['params'];
  readonly query: DirectMatch['query'];
  /** What an answer carries, whatever it is. */
  readonly replyHeaders: Record<string, string>;
  readonly startedAtMs: number;
  body: Buffer = nothing;
  readonly #life: RequestLife;
  readonly #closing: (() => void)[] = [];
  #caller: Caller | undefined;
  #traceContext: SpanContext | undefined;

  constructor(
    { raw, response }: { raw: IncomingMessage; response: ServerResponse },
    { route, params, query }: DirectMatch,
    { life, startedAtMs }: { life: RequestLife; startedAtMs: number },
  ) {
    this.raw = raw;
    this.response = response;
    this.route = route;
    this.params = params;
    this.query = query;
    this.startedAtMs = startedAtMs;
    this.#life = life;
    this.replyHeaders = { 'x-request-id': this.id };
    response.on('close', () => this.#closed());
  }

  get method(): string {
    return this.raw.method ?? '';
  }

  /** Path and query as they came. */
  get url(): string {
    return this.raw.url ?? '';
  }

  get headers(): IncomingHttpHeaders {
    return this.raw.headers;
  }

  get ip(): string {
    return this.raw.socket.remoteAddress ?? '';
  }

  get routeOptions(): { readonly url: string } {
    return this.route;
  }

  /** Who asks. Known before the body is read. */
  get caller(): Caller {
    if (this.#caller === undefined) throw new Error('Nobody is known to be behind this request yet');
    return this.#caller;
  }

  /** Leaves its caller what it may do on this path. */
  narrow(caller: Caller): void {
    this.#caller = caller;
  }

  /** Undefined while that is being found out. */
  get knownCaller(): Caller | undefined {
    return this.#caller;
  }

  /** From now on it can be stopped with its caller's key, principal or run. */
  follow(caller: Caller): void {
    this.#caller = caller;
    this.#life.follow(caller);
  }

  /** Fires when the client leaves before its answer is complete, when its key or run is stopped, and at the end of the drain. */
  get end(): StopSignal {
    return this.#life.end;
  }

  /** The same for who needs one of the platform's. */
  get gone(): AbortSignal {
    return this.#life.signal;
  }

  /** The trace that the caller began, or a new one. */
  get traceContext(): SpanContext {
    this.#traceContext ??= traceContextOf(singleHeader(this.headers.traceparent));
    return this.#traceContext;
  }

  /** Called when the response has closed, however. */
  onClose(listener: () => void): void {
    this.#closing.push(listener);
  }

  #closed(): void {
    this.#life.closed();
    for (const listener of this.#closing) listener();
  }
}

const nothing = Buffer.alloc(0);
