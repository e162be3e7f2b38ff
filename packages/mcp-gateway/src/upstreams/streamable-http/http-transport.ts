import type { Readable } from 'node:stream';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse, Origin } from '@strata/shared/http/dialer.ts';
import { InFlightMap } from '@strata/shared/in-flight.ts';
import { Stopper, type StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { renderRequest } from '../../wire/render.ts';
import { readBody } from '../result-size.ts';
import type { Transport, TransportEvents } from '../transport.ts';
import { givenUp } from '../transport.ts';
import { type EventsRead, readEvents } from './read-events.ts';
import { SessionHeaders } from './session-headers.ts';

export interface HttpTransportOptions {
  readonly server: string;
  readonly origin: Origin;
  /** Path and query of the endpoint. */
  readonly path: string;
  /** Whether one more stream may be held open; `release` when it ends. */
  readonly streams: { admit(): boolean; release(): void };
  /** Sent with every request: the operator's credentials for this server. Never anything of a client's (M13). */
  readonly headers: Readonly<Record<string, string>>;
  readonly maxMessageBytes: number;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly log: Logger;
}

const maxResumes = 5;
const firstRetryMs = 1000;
const maxRetryMs = 30_000;
const goodbyeMs = 2000;
/** Answers and streams may be silent for as long as a call may take; the call has its own limit. */
const untimed = { headersMs: 0, bodyMs: 0 } as const;

/**
 * Streamable HTTP (2025-11-25, "Transports"): a POST for each message, answered with JSON or an event stream; one GET for
 * what the server sends by itself; a session id that the server chooses and that never leaves this object.
 */
export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #events: TransportEvents;
  readonly #closing = new AbortController();
  readonly #inFlight = new InFlightMap<number, Stopper>();
  readonly #headers: SessionHeaders;
  #probe: Promise<boolean> | undefined;

  constructor(options: HttpTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#headers = new SessionHeaders(options.headers);
  }

  get hasSession(): boolean {
    return this.#headers.hasSession;
  }

  /** 400 is what the specification asks for (2025-11-25, "Session Management"), 404 and 406 are seen. */
  async wantsSession(signal: AbortSignal): Promise<boolean> {
    const response = await this.#request('GET', signal);
    response.body.destroy();
    return [400, 404, 406].includes(response.status);
  }

  async start(): Promise<void> {}

  send(bytes: Buffer, request: number | undefined): void {
    if (request !== undefined) {
      void this.#ask(bytes, request); // never rejects
      return;
    }
    this.#tell(bytes).catch((error: unknown) => {
      const { server, log } = this.#options;
      if (this.#closing.signal.aborted) return;
      log.warn({ server, err: error }, 'a message could not be delivered to the server');
    });
  }

  abandon(request: number): void {
    this.#inFlight.get(request)?.stop(givenUp());
  }

  opened(protocolVersion: string): void {
    this.#headers.setVersion(protocolVersion);
    this.#listen().catch((error: unknown) => {
      this.#options.log.warn({ server: this.#options.server, err: error }, 'stopped listening to the server');
    });
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const stopper of this.#inFlight.values()) stopper.stop(givenUp());
    if (!this.#headers.hasSession) return;
    const signal = AbortSignal.timeout(goodbyeMs);
    try {
      const response = await this.#request('DELETE', signal);
      response.body.destroy();
    } catch (error) {
      this.#options.log.debug(
        { server: this.#options.server, err: error },
        'the server did not take the goodbye',
      );
    }
  }

  async #tell(bytes: Buffer): Promise<void> {
    const response = await this.#post(bytes, this.#closing.signal);
    response.body.destroy();
    if (response.status >= 400) throw this.#refused(response.status);
  }

  async #ask(bytes: Buffer, request: number): Promise<void> {
    const stopper = new Stopper();
    this.#inFlight.set(request, stopper);
    try {
      const response = await this.#post(bytes, stopper);
      const reading = this.#read(response, request, stopper);
      if (reading !== undefined) await reading;
    } catch (error) {
      this.#events.onRequestFailed(request, GatewayError.from(error));
    } finally {
      this.#inFlight.take(request);
    }
  }

  /** Undefined where it is done: an answer in JSON comes with its head. */
  #read(response: DialResponse, request: number, signal: StopSignal): Promise<void> | undefined {
    if (response.status !== 200) return this.#onRefusal(response, request);
    this.#headers.setSession(headerOf(response, 'mcp-session-id'));
    const type = headerOf(response, 'content-type') ?? '';
    if (type.startsWith('text/event-stream')) return this.#readStream(response.body, request, signal);
    const body = readBody(response, this.#options.maxMessageBytes, this.#options.server);
    if (body instanceof Promise) return body.then(bytes => this.#onAnswer(bytes, request));
    this.#onAnswer(body, request);
    return undefined;
  }

  /** @throws GatewayError upstream_failed (`server_stream_ended`) */
  #onAnswer(body: Buffer, request: number): void {
    this.#events.onMessage(body, request);
    if (this.#events.isWaiting(request)) throw this.#broken('answered with something else than the answer');
  }

  /** Reads an answer's own stream to its end, and goes on where it broke off when the server allows that. */
  async #readStream(first: Readable, request: number, signal: StopSignal): Promise<void> {
    let body = first;
    let lastEventId = '';
    for (let attempt = 0; attempt <= maxResumes; attempt++) {
      const read = await this.#readEvents(body, request);
      lastEventId = read.lastEventId || lastEventId;
      if (!this.#events.isWaiting(request)) return;
      if (lastEventId === '') break;
      if (!read.isBroken) this.#events.onPaused(request);
      await this.#options.clock.sleep(read.retryMs ?? firstRetryMs, signal);
      const again = await this.#request('GET', signal, lastEventId);
      if (again.status !== 200) {
        again.body.destroy();
        break;
      }
      body = again.body;
    }
    throw this.#broken('ended its stream before the answer');
  }

  #readEvents(body: Readable, request: number | undefined): Promise<EventsRead> {
    const { maxMessageBytes, server, log } = this.#options;
    return readEvents(body, {
      server,
      log,
      maxMessageBytes,
      onMessage: bytes => this.#events.onMessage(bytes, request),
      isDone: () => request !== undefined && !this.#events.isWaiting(request),
    });
  }

  async #onRefusal(response: DialResponse, request: number): Promise<void> {
    response.body.destroy();
    const isLost =
      this.#headers.hasSession &&
      (response.status === 404 || (response.status === 400 && !(await this.#isSessionKnown())));
    if (isLost) this.#events.onSessionLost(request);
    else throw this.#refused(response.status);
  }

  /** Servers that answer 400 for a session they forgot are told apart from a bad request by one `ping` for all. */
  #isSessionKnown(): Promise<boolean> {
    this.#probe ??= this.#post(renderRequest(0, 'ping', {}), this.#closing.signal)
      .then(response => {
        response.body.destroy();
        return response.status !== 400 && response.status !== 404;
      })
      .catch(() => true)
      .finally(() => {
        this.#probe = undefined;
      });
    return this.#probe;
  }

  /** The server's own stream. A server without one answers 405 and is not asked again. */
  async #listen(): Promise<void> {
    if (!this.#options.streams.admit()) return;
    await this.#keepListening().finally(() => this.#options.streams.release());
  }

  async #keepListening(): Promise<void> {
    const { signal } = this.#closing;
    let waitMs = firstRetryMs;
    let lastEventId = '';
    while (!signal.aborted) {
      try {
        const response = await this.#request('GET', signal, lastEventId);
        const isStream = (headerOf(response, 'content-type') ?? '').startsWith('text/event-stream');
        if (response.status !== 200 || !isStream) {
          response.body.destroy();
          if (response.status < 500) return;
        } else {
          waitMs = firstRetryMs;
          const read = await this.#readEvents(response.body, undefined);
          lastEventId = read.lastEventId || lastEventId;
          waitMs = read.retryMs ?? waitMs;
        }
      } catch (error) {
        if (!signal.aborted)
          this.#options.log.debug({ server: this.#options.server, err: error }, 'no stream from the server');
      }
      if (signal.aborted) return;
      await this.#options.clock.sleep(waitMs, signal).catch(() => {}); // the loop looks at the signal itself
      waitMs = Math.min(maxRetryMs, waitMs * 2);
    }
  }

  #post(body: Buffer, signal: StopSignal): Promise<DialResponse> {
    const { dialer, origin, path } = this.#options;
    const headers = this.#headers.ofPost();
    return dialer.request(origin, { method: 'POST', path, headers, body, signal, timeouts: untimed });
  }

  #request(method: 'GET' | 'DELETE', signal: StopSignal, lastEventId = ''): Promise<DialResponse> {
    const { dialer, origin, path } = this.#options;
    const accept = method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream';
    const headers = {
      ...this.#headers.of(accept),
      ...(lastEventId !== '' && { 'last-event-id': lastEventId }),
    };
    return dialer.request(origin, { method, path, headers, signal, timeouts: untimed });
  }

  #refused(status: number): GatewayError {
    const { server } = this.#options;
    const isCredential = status === 401 || status === 403;
    return new GatewayError(
      'upstream_failed',
      isCredential
        ? `The server '${server}' refused the gateway's credentials (HTTP ${status}).`
        : `The server '${server}' refused the message (HTTP ${status}).`,
      isCredential
        ? { reason: 'server_credentials_refused', details: { server, status } }
        : { reason: 'server_refused', details: { server, status } },
    );
  }

  #broken(what: string): GatewayError {
    const { server } = this.#options;
    return new GatewayError('upstream_failed', `The server '${server}' ${what}.`, {
      reason: 'server_stream_ended',
      details: { server },
    });
  }
}

function headerOf(response: DialResponse, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
