import type { Socket } from 'node:net';
import { Client } from 'undici';
import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import type { Connect } from './connect.ts';
import { ReadSize } from './read-size.ts';

/** Somebody who wants a connection. Told exactly once, unless it leaves before (`ConnectionPool.leave`). */
export interface Seeker {
  onConnection(connection: Connection): void;
  onNoConnection(error: GatewayError): void;
}

export interface ConnectionPoolOptions {
  /** For messages. */
  readonly name: string;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly connect: Connect;
  readonly clock: Clock;
  readonly maxConnections: number;
  readonly maxWaiting: number;
  /** For waiting and for connecting alike. */
  readonly connectTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly maxHeaderBytes: number;
}

/**
 * The connections to one upstream address: HTTP/1.1, one request at a time each, the last one used first. Beside what a pool
 * of undici's does, a request can leave at once while it waits or connects, both waits are bounded, and finding a free
 * connection costs the same among ten as among thousands.
 */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiting = new Map<Seeker, Scheduled>();
  #isClosed = false;
  #lastUsedMs = 0;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
  }

  /** On the monotonic clock. */
  get lastUsedMs(): number {
    return this.#lastUsedMs;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Connections that carry a request, and requests that wait for one. */
  get inUse(): number {
    return this.#all.size - this.#idle.length + this.#waiting.size;
  }

  seek(seeker: Seeker): void {
    this.#lastUsedMs = this.#options.clock.monotonic();
    const connection = this.#idle.pop() ?? this.#grow();
    if (connection === undefined) {
      this.#wait(seeker);
      return;
    }
    connection.isFree = false;
    seeker.onConnection(connection);
  }

  /** Takes a seeker out of the queue. It will not be told anything. */
  leave(seeker: Seeker): void {
    this.#waiting.get(seeker)?.cancel();
    this.#waiting.delete(seeker);
  }

  /** Lets running requests finish, closes the rest, and takes no more. */
  retire(): void {
    this.#isClosed = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** Cuts every connection. */
  async destroy(error: GatewayError): Promise<void> {
    this.#isClosed = true;
    this.#idle.length = 0;
    for (const seeker of [...this.#waiting.keys()]) {
      this.leave(seeker);
      seeker.onNoConnection(error);
    }
    await Promise.all([...this.#all].map(connection => connection.destroy(error)));
  }

  #grow(): Connection | undefined {
    if (this.#all.size >= this.#options.maxConnections) return undefined;
    const connection = new Connection(this.#options, {
      freed: () => this.#take(connection),
      lost: () => this.#drop(connection),
    });
    this.#all.add(connection);
    return connection;
  }

  #take(connection: Connection): void {
    const [seeker] = this.#waiting.keys();
    if (seeker !== undefined) {
      this.leave(seeker);
      seeker.onConnection(connection);
    } else if (this.#isClosed) {
      connection.destroy();
    } else {
      connection.isFree = true;
      this.#idle.push(connection);
    }
  }

  #drop(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.lastIndexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    const [seeker] = this.#waiting.keys();
    const next = seeker && this.#grow();
    if (seeker === undefined || next === undefined) return;
    this.leave(seeker);
    seeker.onConnection(next);
  }

  #wait(seeker: Seeker): void {
    const { clock, connectTimeoutMs, maxWaiting } = this.#options;
    if (this.#waiting.size >= maxWaiting) {
      seeker.onNoConnection(this.#busy());
      return;
    }
    const late = clock.schedule(connectTimeoutMs, () => {
      this.#waiting.delete(seeker);
      seeker.onNoConnection(this.#busy());
    });
    this.#waiting.set(seeker, late);
  }

  #busy(): GatewayError {
    return new GatewayError('overloaded', `All connections to '${this.#options.name}' are in use.`, {
      reason: 'upstream_busy',
    });
  }
}

interface ConnectionEvents {
  freed(): void;
  lost(): void;
}

/** One connection: free, carrying one request, or lost for good. Its socket is opened by the first request. */
export class Connection {
  readonly client: Client;
  /** Who uses the connection may want more at once. */
  readonly readSize = new ReadSize();
  readonly #events: ConnectionEvents;
  /** Kept by the pool. */
  isFree = false;
  /** Whether a request has had its whole answer over it. */
  hasServed = false;
  #socket: Socket | undefined;
  #connectLimit: Scheduled | undefined;
  #isConnected = false;
  #isLost = false;

  constructor(options: ConnectionPoolOptions, events: ConnectionEvents) {
    this.#events = events;
    this.client = new Client(options.origin, {
      allowH2: false,
      // One request at a time all the same: the pool gives a connection to nobody else before. But with 1 undici goes round once more after each
      // answer, to say that it could take another request.
      pipelining: 2,
      keepAliveTimeout: options.keepAliveMs,
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: 0, // an exchange keeps its own time
      bodyTimeout: 0,
      connect: (target, callback) => {
        const connected: typeof callback = (...result) => {
          this.#connectLimit?.cancel();
          this.#isConnected = result[0] === null;
          callback(...result);
        };
        const socket = options.connect(target, connected, this.readSize);
        this.#socket = socket;
        const tooLong = () => socket.destroy(tooLate(options));
        this.#connectLimit = options.clock.schedule(options.connectTimeoutMs, tooLong);
      },
    });
    this.client.on('disconnect', () => {
      this.#isConnected = false;
      if (this.isFree) this.destroy();
    });
  }

  /**
   * The request is over and the connection may carry another one, once the event loop has polled again: what else is on the
   * wire by then (a FIN, bytes that nobody asked for) closes the connection instead of meeting the next request (S-1).
   */
  release(): void {
    this.readSize.isLarge = false;
    afterNextPoll(this.#free);
  }

  readonly #free = (): void => {
    if (this.#socket?.destroyed) this.destroy();
    else if (!this.#isLost) this.#events.freed();
  };

  /** Closes the socket now, in whatever phase it is. */
  async destroy(error?: Error): Promise<void> {
    if (this.#isLost) return;
    this.#isLost = true;
    this.isFree = false;
    this.#connectLimit?.cancel();
    if (!this.#isConnected) this.#socket?.destroy(error);
    this.#events.lost();
    await this.client.destroy(error ?? null);
  }
}

let polling: (() => void)[] = [];

/** Those who ask between two polls share the two turns of the event loop. */
function afterNextPoll(callback: () => void): void {
  if (polling.push(callback) > 1) return;
  setImmediate(() => {
    const batch = polling;
    polling = [];
    setImmediate(() => {
      for (const each of batch) each();
    });
  });
}

function tooLate(options: ConnectionPoolOptions): GatewayError {
  return new GatewayError('timeout', `'${options.name}' did not accept a connection in time.`, {
    reason: 'upstream_connect_timeout',
  });
}
