import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer, DialResponse } from '@strata/shared/http/dialer.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { withinTime, withSignal } from '../../domain/with-signal.ts';
import type { RemoteServer } from '../remote-server.ts';
import type { Transport, TransportEvents } from '../transport.ts';

export interface SseTransportOptions {
  readonly server: string;
  readonly remote: RemoteServer;
  readonly openTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onClosed: () => void;
}

/** How much more than the largest answer an event may be before the stream is given up. */
const endless = 4;
const untimed = { headersMs: 0, bodyMs: 0 } as const;

/**
 * HTTP+SSE (2024-11-05, "Transports"): one event stream, whose first event names the address for POSTs; every answer comes on the stream.
 * The stream is the session: when it ends, so does everything that waits.
 */
export class SseTransport implements Transport {
  readonly #options: SseTransportOptions;
  readonly #events: TransportEvents;
  readonly #closing = new AbortController();
  readonly #endpoint = Promise.withResolvers<string>();

  constructor(options: SseTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#endpoint.promise.catch(() => {}); // whoever waits gets it
  }

  async start(): Promise<void> {
    const { clock, openTimeoutMs } = this.#options;
    await withinTime(clock, openTimeoutMs, async signal => {
      signal.addEventListener('abort', () => this.#fail(this.#broken('did not open its stream in time')));
      const response = await this.#request('GET', this.#options.remote.path, undefined);
      if (response.status !== 200) {
        response.body.destroy();
        throw this.#refused(response.status);
      }
      void this.#listen(response);
      await withSignal(this.#endpoint.promise, this.#closing.signal);
    });
  }

  send(bytes: Buffer, request: number | undefined): void {
    this.#post(bytes).catch((error: unknown) => {
      if (request !== undefined) this.#events.onRequestFailed(request, GatewayError.from(error));
      else if (!this.#closing.signal.aborted) {
        const { server, log } = this.#options;
        log.warn({ server, err: error }, 'a message could not be delivered to the server');
      }
    });
  }

  abandon(): void {}

  opened(): void {}

  async close(): Promise<void> {
    this.#fail(this.#broken('was closed'));
  }

  async #post(bytes: Buffer): Promise<void> {
    const response = await this.#request('POST', await this.#endpoint.promise, bytes);
    response.body.destroy();
    if (response.status >= 400) throw this.#refused(response.status);
  }

  async #listen(response: DialResponse): Promise<void> {
    const { maxMessageBytes } = this.#options;
    // All calls share the stream: one that is answered with too much must not end the others.
    const maxBytes = maxMessageBytes * endless;
    const scanner = new SseScanner({ maxLineBytes: maxBytes, maxEventBytes: maxBytes });
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        for (const frame of scanner.push(chunk)) {
          const data = frame.dataBytes();
          if (!data) continue;
          if (frame.name() === 'endpoint') this.#endpoint.resolve(this.#pathOf(data.toString()));
          else this.#events.onMessage(Buffer.from(data), undefined);
        }
      }
      this.#fail(this.#broken('ended its stream'));
    } catch (error) {
      this.#fail(error instanceof GatewayError ? error : this.#broken('broke its stream off'));
    } finally {
      response.body.destroy();
    }
  }

  /** The address for POSTs. One of another origin is refused: nobody allowed it (S-3), and the credential is not for it. */
  #pathOf(endpoint: string): string {
    const { origin, path } = this.#options.remote;
    const url = URL.parse(endpoint.trim(), new URL(path, origin.url).href);
    if (url?.origin === origin.url.origin) return url.pathname + url.search;
    throw this.#broken('named an address of another origin for its messages');
  }

  #request(method: 'GET' | 'POST', path: string, body: Buffer | undefined): Promise<DialResponse> {
    const { dialer, remote } = this.#options;
    return dialer.request(remote.origin, {
      method,
      path,
      headers: {
        ...remote.headers,
        accept: body ? 'application/json' : 'text/event-stream',
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body ?? null,
      signal: this.#closing.signal,
      timeouts: untimed,
    });
  }

  #fail(error: GatewayError): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(error);
    this.#endpoint.reject(error);
    this.#options.onClosed();
    this.#events.onClosed(error);
  }

  #refused(status: number): GatewayError {
    const { server } = this.#options;
    const isCredential = status === 401 || status === 403;
    return new GatewayError('upstream_failed', `The server '${server}' answered with HTTP ${status}.`, {
      reason: isCredential ? 'server_credentials_refused' : 'server_refused',
      details: { server, status },
    });
  }

  #broken(what: string): GatewayError {
    const { server } = this.#options;
    return new GatewayError('upstream_failed', `The server '${server}' ${what}.`, {
      reason: 'server_stream_ended',
      details: { server },
    });
  }
}
