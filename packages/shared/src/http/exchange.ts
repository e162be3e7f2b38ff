import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { StopSignal } from '../resilience/stop-signal.ts';
import { AnswerBody, type BodySource } from './answer-body.ts';
import type { Connection, ConnectionPool, Seeker } from './connection-pool.ts';
import { codingOf, DecodedAnswer, encodingRefused } from './decoded-answer.ts';
import { brokenConnection, isUnsendable, toDialError } from './dial-errors.ts';
import type { DialResponse } from './dial-response.ts';

export interface PhaseTimeouts {
  /** From the last byte of the request to the head of the answer. 0: no limit. */
  readonly headersMs: number;
  /** Longest silence inside the answer; time in which the reader does not read is not counted. 0: no limit. */
  readonly bodyMs: number;
  /** From the call to the end of the answer. 0: no limit. */
  readonly totalMs: number;
}

export interface ExchangeOptions {
  readonly originName: string;
  readonly pool: ConnectionPool;
  readonly dispatch: Dispatcher.DispatchOptions;
  readonly signal: StopSignal;
  readonly timeouts: PhaseTimeouts;
  readonly clock: Clock;
}

const maxResponseHeaders = 256;

/** Sends one request and resolves with its answer. @throws GatewayError, or the reason of the signal. */
export function exchange(options: ExchangeOptions): Promise<DialResponse> {
  return new Promise((resolve, reject) => new Exchange(options, resolve, reject).start());
}

/**
 * One request and its answer, from the queue for a connection to the last byte. It ends exactly once, by its answer, its
 * failure, its reader or its signal, and with it end its timers, its listener and, unless the answer was complete, its socket.
 */
class Exchange implements Seeker, BodySource, Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #resolve: (response: DialResponse) => void;
  readonly #reject: (error: unknown) => void;
  #connection: Connection | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #body: AnswerBody | undefined;
  #isOver = false;
  #isPaused = false;
  #silence: Silence | undefined;
  #toSilenceError = headersTimeout;
  #total: Scheduled | undefined;

  constructor(
    options: ExchangeOptions,
    resolve: (response: DialResponse) => void,
    reject: (error: unknown) => void,
  ) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { signal, pool, clock, timeouts, originName } = this.#options;
    signal.addEventListener('abort', this);
    if (timeouts.totalMs > 0) {
      this.#total = clock.schedule(timeouts.totalMs, () => this.#fail(totalTimeout(originName)));
    }
    pool.seek(this);
  }

  /** Of the signal. */
  handleEvent(): void {
    this.#fail(this.#options.signal.reason);
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
    connection.client.dispatch(this.#options.dispatch, this);
  }

  onNoConnection(error: GatewayError): void {
    this.#fail(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('The request was given up'));
    else this.#limitSilence(this.#options.timeouts.headersMs, headersTimeout);
  }

  onBodySent(): void {
    this.#silence?.broken();
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#isOver || status < 200) return;
    const coding = codingOf(headers['content-encoding']);
    if (coding === undefined || isTooMany(headers)) {
      const { originName } = this.#options;
      this.#fail(coding === undefined ? encodingRefused(originName) : tooManyHeaders(originName));
      return;
    }
    this.#limitSilence(this.#options.timeouts.bodyMs, bodyTimeout);
    this.#body = new AnswerBody(this);
    const answer = new Answer(status, headers as DialResponse['headers'], this.#body); // undici sets no undefined ones
    const { originName } = this.#options;
    this.#resolve(coding === 'identity' ? answer : new DecodedAnswer(answer, { coding, originName }));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    this.#silence?.broken();
    if (this.#body?.push(chunk) === false) this.pause();
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#end();
    if (connection !== undefined) {
      connection.hasServed = true;
      connection.release();
    }
    this.#body?.push(null);
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (isUnsendable(error)) {
      this.#connection?.release();
      this.#connection = undefined;
    }
    const { originName } = this.#options;
    const wasKept = this.#body === undefined && this.#connection?.hasServed === true;
    const failure = toDialError(error, originName);
    this.#fail(
      wasKept && failure.reason === brokenConnection ? keptConnectionClosed(originName, error) : failure,
    );
  }

  /** Of the body's reader. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#silence?.broken();
    this.#controller?.resume();
  }

  /** Of the body's reader. */
  pause(): void {
    this.#isPaused = true;
    this.#controller?.pause();
  }

  /** Of the body's reader. */
  willTakeAll(): void {
    if (this.#connection !== undefined) this.#connection.readSize.isLarge = true;
  }

  /** Of the body's reader. */
  left(): void {
    this.#end();
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    if (this.#body === undefined) this.#reject(error);
    else this.#body.destroy(asError(error));
  }

  /** Gives back what is held. A connection that is still held then is in the middle of something, and is closed. */
  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { signal, pool } = this.#options;
    signal.removeEventListener('abort', this);
    this.#silence?.stop();
    this.#total?.cancel();
    if (this.#connection === undefined) pool.leave(this);
    else this.#connection.destroy();
  }

  #limitSilence(limitMs: number, toError: (originName: string) => GatewayError): void {
    this.#toSilenceError = toError;
    if (this.#silence?.limit(limitMs)) return;
    this.#silence?.stop();
    this.#silence = limitMs > 0 ? new Silence(this.#options.clock, limitMs, this) : undefined;
  }

  /** Of the silence: whether it is taken for what it is. */
  onSilence(): boolean {
    if (this.#isPaused) return false;
    this.#fail(this.#toSilenceError(this.#options.originName));
    return true;
  }
}

function isTooMany(headers: Record<string, unknown>): boolean {
  let count = 0;
  for (const _name in headers) count++;
  return count > maxResponseHeaders;
}

/** Watches for a silence that lasts too long, with one timer that is not touched when the silence is broken. */
class Silence {
  readonly #clock: Clock;
  /** Tells whether it took the silence for what it is; otherwise a new one begins. */
  readonly #listener: { onSilence(): boolean };
  #limitMs: number;
  #sinceMs: number;
  #timer: Scheduled;

  constructor(clock: Clock, limitMs: number, listener: { onSilence(): boolean }) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#listener = listener;
    this.#sinceMs = clock.monotonic();
    this.#timer = this.#schedule(limitMs);
  }

  /** A new limit, counted from now, where the running timer can serve it: it fires too early then, never too late. */
  limit(limitMs: number): boolean {
    if (limitMs < this.#limitMs) return false;
    this.#limitMs = limitMs;
    this.broken();
    return true;
  }

  broken(): void {
    this.#sinceMs = this.#clock.monotonic();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #schedule(ms: number): Scheduled {
    return this.#clock.schedule(ms, () => {
      const leftMs = this.#sinceMs + this.#limitMs - this.#clock.monotonic();
      if (leftMs > 0) this.#timer = this.#schedule(leftMs);
      else if (!this.#listener.onSilence()) this.#timer = this.#schedule(this.#limitMs);
    });
  }
}

class Answer implements DialResponse {
  readonly status: number;
  readonly headers: DialResponse['headers'];
  readonly #body: AnswerBody;

  constructor(status: number, headers: DialResponse['headers'], body: AnswerBody) {
    this.status = status;
    this.headers = headers;
    this.#body = body;
  }

  get body(): Readable {
    return this.#body.stream();
  }

  readAll(maxBytes: number): Promise<Buffer> | Buffer {
    return this.#body.readAll(maxBytes);
  }
}

/** Nothing of an answer came over a connection that had served before: it was closed just as it was used again. */
function keptConnectionClosed(originName: string, cause: unknown): GatewayError {
  return new GatewayError('upstream_failed', `'${originName}' closed a kept connection as it was used.`, {
    reason: 'upstream_kept_connection_closed',
    cause,
  });
}

function tooManyHeaders(originName: string): GatewayError {
  return new GatewayError('upstream_failed', `'${originName}' sent too many headers.`, {
    reason: 'upstream_headers_too_large',
  });
}

function headersTimeout(originName: string): GatewayError {
  return new GatewayError('timeout', `'${originName}' did not begin its answer in time.`, {
    reason: 'upstream_headers_timeout',
  });
}

function bodyTimeout(originName: string): GatewayError {
  return new GatewayError('timeout', `'${originName}' fell silent in the middle of its answer.`, {
    reason: 'upstream_body_timeout',
  });
}

function totalTimeout(originName: string): GatewayError {
  return new GatewayError('timeout', `'${originName}' did not complete its answer in time.`, {
    reason: 'upstream_total_timeout',
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
