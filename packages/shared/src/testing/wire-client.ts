import { connect, type Socket } from 'node:net';
import {
  createMessageParser,
  framingOf,
  joinHeaders,
  type MessageParser,
  type RawHeaders,
} from './message-parser.ts';

/** Every way a request can fail on the wire. */
export type WireFailureKind =
  | 'refused'
  /** RST or FIN before the first byte of the answer. */
  | 'no-response'
  /** RST after it. */
  | 'reset'
  /** FIN before the body was as long as its framing promised. */
  | 'short-body'
  /** Bytes that HTTP/1.1 does not allow, or that nobody asked for. */
  | 'bad-bytes'
  | 'aborted';

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly kind: WireFailureKind;
  /** What had arrived of the answer. */
  readonly partial: { readonly status: number | undefined; readonly body: Buffer };

  constructor(kind: WireFailureKind, message: string, partial: WireError['partial'], cause?: unknown) {
    super(`${kind}: ${message}`, { cause });
    this.kind = kind;
    this.partial = partial;
  }
}

export interface WireRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Aborting destroys the connection, as a client that leaves does. */
  readonly signal?: AbortSignal;
  readonly onHead?: (status: number) => void;
  /** Sees the body as it comes, without its framing. */
  readonly onBody?: (bytes: Buffer) => void;
}

export interface WireResponse {
  readonly status: number;
  readonly rawHeaders: RawHeaders;
  /** Lower-case names; repeated headers joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly trailers: RawHeaders;
  readonly reusedConnection: boolean;
}

/** An HTTP/1.1 client that forgives nothing, hides nothing and never tries again. */
export interface WireClient {
  /** One at a time on a connection; as many connections as requests are in flight. Rejects with `WireError`. */
  request(request: WireRequest): Promise<WireResponse>;
  readonly completed: number;
  /** Failures so far by kind. Bytes beyond a whole answer count as `bad-bytes`, though the request itself succeeded. */
  readonly failures: ReadonlyMap<WireFailureKind, number>;
  readonly connectionsOpened: number;
  /** Connections that wait for another request. */
  readonly idleConnections: number;
  close(): void;
}

export function createWireClient(target: { readonly host?: string; readonly port: number }): WireClient {
  const idle = new Set<WireConnection>();
  const open = new Set<WireConnection>();
  const failures = new Map<WireFailureKind, number>();
  let completed = 0;
  let connectionsOpened = 0;

  const count = (kind: WireFailureKind) => failures.set(kind, (failures.get(kind) ?? 0) + 1);

  const openConnection = (): WireConnection => {
    connectionsOpened++;
    const connection = new WireConnection(target, {
      onIdleBytes: () => count('bad-bytes'),
      onClose: () => {
        idle.delete(connection);
        open.delete(connection);
      },
    });
    open.add(connection);
    return connection;
  };

  return {
    request: async request => {
      const [reused] = idle;
      const connection = reused ?? openConnection();
      idle.delete(connection);
      try {
        const response = await connection.exchange(request);
        completed++;
        if (connection.hasExtraBytes) count('bad-bytes');
        if (connection.isReusable && response.headers.connection?.toLowerCase() !== 'close')
          idle.add(connection);
        else connection.destroy();
        return response;
      } catch (error) {
        connection.destroy();
        if (error instanceof WireError) count(error.kind);
        throw error;
      }
    },
    get completed() {
      return completed;
    },
    failures,
    get connectionsOpened() {
      return connectionsOpened;
    },
    get idleConnections() {
      return idle.size;
    },
    close: () => {
      for (const connection of open) connection.destroy();
    },
  };
}

interface Exchange {
  readonly request: WireRequest;
  readonly parts: Buffer[];
  readonly resolve: (response: WireResponse) => void;
  readonly reject: (error: WireError) => void;
  status: number | undefined;
  rawHeaders: RawHeaders;
  isInterim: boolean;
  hasBytes: boolean;
}

class WireConnection {
  readonly #socket: Socket;
  readonly #target: { readonly host?: string; readonly port: number };
  readonly #parser: MessageParser;
  #exchange: Exchange | undefined;
  #exchanges = 0;
  #isConnected = false;
  #isBroken = false;

  constructor(
    target: { readonly host?: string; readonly port: number },
    events: { readonly onIdleBytes: () => void; readonly onClose: () => void },
  ) {
    this.#target = target;
    this.#parser = createMessageParser({
      onHead: (startLine, rawHeaders) => this.#onHead(startLine, rawHeaders),
      onBody: bytes => {
        this.#exchange?.parts.push(Buffer.from(bytes));
        this.#exchange?.request.onBody?.(bytes);
      },
      onEnd: trailers => this.#onEnd(trailers),
    });
    this.#socket = connect({ host: target.host ?? '127.0.0.1', port: target.port, noDelay: true });
    this.#socket.on('connect', () => {
      this.#isConnected = true;
    });
    this.#socket.on('data', bytes => {
      if (!this.#exchange) {
        events.onIdleBytes();
        this.#socket.destroy();
        return;
      }
      this.#exchange.hasBytes = true;
      this.#parse(() => this.#parser.push(bytes), 'bad-bytes');
    });
    this.#socket.on('end', () => {
      if (this.#exchange?.hasBytes) this.#parse(() => this.#parser.finish(), 'short-body');
      this.#fail('no-response', 'the connection ended before the answer');
    });
    this.#socket.on('error', error => {
      const kind = this.#exchange?.hasBytes ? 'reset' : this.#isConnected ? 'no-response' : 'refused';
      this.#fail(kind, error.message, error);
    });
    this.#socket.on('close', () => {
      this.#fail('no-response', 'the connection was closed');
      events.onClose();
    });
  }

  /** More came than the answer. */
  get hasExtraBytes(): boolean {
    return this.#isBroken || !this.#parser.isIdle;
  }

  get isReusable(): boolean {
    return !this.hasExtraBytes && !this.#socket.destroyed && !this.#socket.readableEnded;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  exchange(request: WireRequest): Promise<WireResponse> {
    this.#exchanges++;
    const { signal } = request;
    const onAbort = () => {
      this.#fail('aborted', String(signal?.reason));
      this.#socket.destroy();
    };
    return new Promise<WireResponse>((resolve, reject) => {
      this.#exchange = {
        request,
        parts: [],
        resolve,
        reject,
        status: undefined,
        rawHeaders: [],
        isInterim: false,
        hasBytes: false,
      };
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
      this.#socket.write(this.#render(request));
    }).finally(() => signal?.removeEventListener('abort', onAbort));
  }

  #render({ method = 'GET', path, headers = {}, body }: WireRequest): Buffer {
    const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
    const all = {
      host: `${this.#target.host ?? '127.0.0.1'}:${this.#target.port}`,
      ...(body === undefined ? {} : { 'content-length': String(bytes.length) }),
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return Buffer.concat([
      Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
      bytes,
    ]);
  }

  #onHead(startLine: string, rawHeaders: RawHeaders) {
    const exchange = this.#exchange;
    const match = /^HTTP\/1\.1 ([1-5][0-9]{2}) [^\r\n]*$/.exec(startLine);
    if (!match || !exchange) throw new Error(`Bad status line ${JSON.stringify(startLine)}`);
    const status = Number(match[1]);
    exchange.isInterim = status < 200;
    if (!exchange.isInterim) {
      exchange.status = status;
      exchange.rawHeaders = rawHeaders;
      exchange.request.onHead?.(status);
    }
    const framing = framingOf(rawHeaders) ?? ({ kind: 'until-close' } as const);
    const hasNoBody =
      exchange.isInterim || status === 204 || status === 304 || exchange.request.method === 'HEAD';
    return hasNoBody ? ({ kind: 'length', bytes: 0 } as const) : framing;
  }

  #onEnd(trailers: RawHeaders): void {
    const exchange = this.#exchange;
    if (!exchange || exchange.isInterim || exchange.status === undefined) return;
    this.#exchange = undefined;
    const { status, rawHeaders } = exchange;
    exchange.resolve({
      status,
      rawHeaders,
      headers: joinHeaders(rawHeaders),
      body: Buffer.concat(exchange.parts),
      trailers,
      reusedConnection: this.#exchanges > 1,
    });
  }

  #parse(act: () => void, kind: WireFailureKind): void {
    try {
      act();
    } catch (error) {
      this.#isBroken = true;
      this.#fail(kind, String(error), error);
      this.#socket.destroy();
    }
  }

  #fail(kind: WireFailureKind, message: string, cause?: unknown): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#exchange = undefined;
    exchange.reject(
      new WireError(kind, message, { status: exchange.status, body: Buffer.concat(exchange.parts) }, cause),
    );
  }
}
