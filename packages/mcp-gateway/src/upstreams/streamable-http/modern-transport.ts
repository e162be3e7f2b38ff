import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { DialResponse } from '@strata/shared/http/dialer.ts';
import { SseScanner } from '@strata/shared/http/sse-scanner.ts';
import { InFlightMap } from '@strata/shared/in-flight.ts';
import { Stopper, type StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import { modernVersion } from '../../domain/protocol-versions.ts';
import { errorCodeOf, parseFrame } from '../../wire/frame.ts';
import { isEventTooLarge, readBody, resultTooLarge } from '../result-size.ts';
import type { Transport, TransportEvents } from '../transport.ts';
import { givenUp } from '../transport.ts';
import type { HttpTransportOptions } from './http-transport.ts';

/** Answers and streams may be silent for as long as a call may take; the call has its own limit. */
const untimed = { headersMs: 0, bodyMs: 0 } as const;
const maxErrorBytes = 64 * 1024;

/**
 * Streamable HTTP without sessions (2026-07-28, "Transports"): one POST for each request, nothing else. Leaving the answer
 * cancels the request at the server.
 */
export class ModernHttpTransport implements Transport {
  readonly #options: HttpTransportOptions;
  readonly #events: TransportEvents;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #inFlight = new InFlightMap<number, Stopper>();
  #isClosed = false;

  constructor(options: HttpTransportOptions, events: TransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#headers = {
      ...options.headers,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': modernVersion,
    };
  }

  async start(): Promise<void> {}

  send(bytes: Buffer, request: number | undefined, headers: Readonly<Record<string, string>> = {}): void {
    if (request === undefined || this.#isClosed) return; // this era has no messages to a server but requests
    const stopper = new Stopper();
    this.#inFlight.set(request, stopper);
    void this.#ask(bytes, request, headers, stopper); // never rejects
  }

  abandon(request: number): void {
    this.#inFlight.get(request)?.stop(givenUp());
  }

  opened(): void {}

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stopper of this.#inFlight.values()) stopper.stop(givenUp());
  }

  async #ask(
    bytes: Buffer,
    request: number,
    headers: Readonly<Record<string, string>>,
    signal: StopSignal,
  ): Promise<void> {
    const { dialer, origin, path } = this.#options;
    try {
      const response = await dialer.request(origin, {
        method: 'POST',
        path,
        headers: { ...this.#headers, ...headers },
        body: bytes,
        signal,
        timeouts: untimed,
      });
      const reading = this.#read(response, request);
      if (reading !== undefined) await reading;
    } catch (error) {
      this.#events.onRequestFailed(request, GatewayError.from(error));
    } finally {
      this.#inFlight.take(request);
    }
  }

  /** Undefined where it is done: an answer in JSON comes with its head. */
  #read(response: DialResponse, request: number): Promise<void> | undefined {
    if (response.status !== 200) return this.#onRefusal(response, request);
    if (mediaTypeOf(response).startsWith('text/event-stream')) return this.#readStream(response, request);
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

  async #readStream(response: DialResponse, request: number): Promise<void> {
    const { maxMessageBytes, server, log } = this.#options;
    const scanner = new SseScanner({ maxLineBytes: maxMessageBytes, maxEventBytes: maxMessageBytes });
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        for (const frame of scanner.push(chunk)) {
          const data = frame.dataBytes();
          if (data && data.length > 0) this.#events.onMessage(Buffer.from(data), request);
        }
        if (!this.#events.isWaiting(request)) return;
      }
    } catch (error) {
      if (isEventTooLarge(error)) throw resultTooLarge(server, maxMessageBytes);
      log.debug({ server, err: error }, 'a stream of the server broke off');
    } finally {
      response.body.destroy();
    }
    if (this.#events.isWaiting(request)) throw this.#broken('ended its stream before the answer');
  }

  /** Errors of the protocol come with statuses of their own; anything else is a refusal of the transport. */
  async #onRefusal(response: DialResponse, request: number): Promise<void> {
    const { server } = this.#options;
    const { status } = response;
    let code: number | undefined;
    if (mediaTypeOf(response).startsWith('application/json')) {
      const frame = parseFrame(await readError(response, server));
      if (frame.kind === 'response' && frame.error) {
        this.#events.onMessage(frame.bytes, request);
        if (!this.#events.isWaiting(request)) return;
        code = errorCodeOf(frame);
      }
    } else {
      response.body.destroy();
    }
    const isCredential = status === 401 || status === 403;
    throw new GatewayError(
      'upstream_failed',
      isCredential
        ? `The server '${server}' refused the gateway's credentials (HTTP ${status}).`
        : `The server '${server}' refused the message (HTTP ${status}).`,
      {
        reason: isCredential ? 'server_credentials_refused' : 'server_refused',
        details: { server, status, ...(code !== undefined && { code }) },
      },
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

/** Nothing where it cannot be read: the status says enough. */
async function readError(response: DialResponse, server: string): Promise<Buffer> {
  try {
    return await readBody(response, maxErrorBytes, server);
  } catch {
    return Buffer.alloc(0);
  }
}

function mediaTypeOf(response: DialResponse): string {
  const value = response.headers['content-type'];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}
