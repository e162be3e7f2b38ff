import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { RawData, WebSocket } from 'ws';

export interface RelayLimits {
  /** What may wait for a slow reader before the other side is not read from any more. */
  readonly maxWaitingBytes: number;
  readonly clientStallMs: number;
  readonly maxSessionMs: number;
  readonly idleTimeoutMs: number;
}

export interface RelayOptions {
  readonly client: WebSocket;
  readonly upstream: WebSocket;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly limits: RelayLimits;
  /** What goes to the upstream in place of a message of the client. */
  fromClient(data: Buffer): Buffer;
  /** What goes to the client in place of a message of the upstream. */
  fromUpstream(data: Buffer): Buffer;
  /** Told of each message of the upstream after it was passed on. */
  onUpstreamMessage(data: Buffer): void;
  /** The event that tells the client why the gateway ends the session. */
  renderError(error: GatewayError): string;
  /** `error`: why the gateway ended it, or the upstream broke it off. */
  onEnd(error: GatewayError | undefined): void;
}

const pingEveryMs = 30_000;
/** Codes of RFC 6455 section 7.4 that may be sent; the others only say what was seen. */
const isSendable = (code: number) =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
const maxReasonBytes = 123;
const goingAway = 1001;
const refusedByPolicy = 1008;
const internalError = 1011;
/** How long a side may take to answer a close before its socket is cut. */
const closeMs = 2000;

/** Two WebSockets that are one: messages pass as they are, in both directions, at the pace of who reads slower, until one side closes. */
export class RealtimeRelay {
  readonly #options: RelayOptions;
  readonly #timers: Scheduled[] = [];
  #lastHeardMs: number;
  #isOver = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { client, upstream, clock, limits, signal } = options;
    this.#lastHeardMs = clock.monotonic();
    this.#pass(client, upstream, options.fromClient);
    this.#pass(upstream, client, options.fromUpstream, options.onUpstreamMessage);
    for (const side of [client, upstream]) side.on('pong', () => this.#heard());
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#timers.push(clock.schedule(limits.maxSessionMs, () => this.fail(sessionOver())));
    this.#keepAlive();
    if (signal.aborted) this.#onAbort();
  }

  /** Tells the client why, and ends the session on both sides. */
  fail(error: GatewayError): void {
    if (this.#isOver) return;
    const { client, renderError } = this.#options;
    if (client.readyState === client.OPEN) client.send(renderError(error));
    this.#end(codeOf(error), error.reason, error);
  }

  readonly #onAbort = (): void => {
    const reason = GatewayError.from(this.#options.signal.reason);
    if (reason.kind !== 'cancelled') this.fail(reason); // of a client that left, its own `close` says more
  };

  #pass(
    from: WebSocket,
    to: WebSocket,
    change: (data: Buffer) => Buffer,
    seen?: (data: Buffer) => void,
  ): void {
    let stall: Scheduled | undefined;
    const caughtUp = () => {
      if (to.bufferedAmount > this.#options.limits.maxWaitingBytes / 2) return;
      stall?.cancel();
      stall = undefined;
      if (from.isPaused) from.resume();
    };
    from.on('message', (data: RawData, isBinary: boolean) => {
      if (this.#isOver) return;
      this.#heard();
      const bytes = isBinary ? asBuffer(data) : change(asBuffer(data));
      to.send(bytes, { binary: isBinary }, caughtUp);
      if (to.bufferedAmount > this.#options.limits.maxWaitingBytes && !from.isPaused) {
        from.pause();
        const { clock, limits } = this.#options;
        stall = clock.schedule(limits.clientStallMs, () => this.#end(goingAway, 'not reading'));
      }
      if (!isBinary) seen?.(bytes);
    });
    from.on('close', (code, reason) => {
      stall?.cancel();
      this.#closedBy(from, { code, reason });
    });
    from.on('error', () => {}); // `close` follows
  }

  #closedBy(side: WebSocket, { code, reason }: { code: number; reason: Buffer }): void {
    if (this.#isOver) return;
    const { upstream } = this.#options;
    // A connection that broke has no code: the other side is told that it was not its doing.
    if (side === upstream && code === 1006) {
      this.fail(brokenOff());
      return;
    }
    this.#end(isSendable(code) ? code : code === 1006 ? goingAway : 1000, reason.toString('utf8'));
  }

  #end(code: number, reason: string, error?: GatewayError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { client, upstream, signal, clock } = this.#options;
    signal.removeEventListener('abort', this.#onAbort);
    for (const timer of this.#timers.splice(0)) timer.cancel();
    for (const side of [client, upstream]) {
      if (side.isPaused) side.resume(); // or its closing handshake would never be read
      if (side.readyState === side.OPEN) side.close(code, shortened(reason));
      const cut = clock.schedule(closeMs, () => side.terminate());
      if (side.readyState === side.CLOSED) cut.cancel();
      else side.once('close', () => cut.cancel());
    }
    this.#options.onEnd(error);
  }

  #heard(): void {
    this.#lastHeardMs = this.#options.clock.monotonic();
  }

  /** A side that is gone without a word answers no ping; a session in which nothing is said for long is ended. */
  #keepAlive(): void {
    const { clock, limits, client, upstream } = this.#options;
    const timer = clock.schedule(Math.min(pingEveryMs, limits.idleTimeoutMs), () => {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      if (clock.monotonic() - this.#lastHeardMs >= limits.idleTimeoutMs) {
        this.#end(goingAway, 'idle');
        return;
      }
      for (const side of [client, upstream]) if (side.readyState === side.OPEN) side.ping();
      this.#keepAlive();
    });
    this.#timers.push(timer);
  }
}

function asBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

function codeOf({ kind, reason }: GatewayError): number {
  if (reason === 'draining' || kind === 'cancelled' || kind === 'timeout') return goingAway;
  return kind === 'upstream_failed' || kind === 'internal' ? internalError : refusedByPolicy;
}

function shortened(reason: string): Buffer {
  const bytes = Buffer.from(reason);
  return bytes.length <= maxReasonBytes ? bytes : Buffer.from(reason.slice(0, maxReasonBytes / 3));
}

function sessionOver(): GatewayError {
  return new GatewayError('timeout', 'The session has lasted as long as it may. Begin another one.', {
    reason: 'realtime_session_over',
  });
}

function brokenOff(): GatewayError {
  return new GatewayError('upstream_failed', 'The connection to the upstream broke.', {
    reason: 'upstream_stream_broken',
  });
}
