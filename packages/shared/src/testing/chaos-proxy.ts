import { connect, createServer, type Socket } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';
import { Gate } from './chaos-proxy/gate.ts';
import { fairWeather, Pump, type Traffic, type Weather } from './chaos-proxy/pump.ts';
import { seededRandom } from './seeded-random.ts';
import { Watchers } from './watchers.ts';

/** Changes to the weather of both directions (`both`) or of one; what is not named stays as it was. */
export interface Forecast {
  readonly both?: Partial<Weather>;
  readonly toServer?: Partial<Weather>;
  readonly toClient?: Partial<Weather>;
}

export interface ChaosProxyOptions extends Forecast {
  readonly target: { readonly host?: string; readonly port: number };
  /** Owns latency, jitter and bandwidth. Default: real time. */
  readonly clock?: Clock;
  /** Draws jitter and slice sizes; each connection and direction has its own sequence. Default 1. */
  readonly seed?: number;
}

/** What can be done to all connections, or to one. Weather set on a connection goes before that of the proxy. */
export interface ChaosControls {
  set(forecast: Forecast): void;
  /** Nothing moves, both ways; what arrives is kept (up to 1 MiB a direction, then the sender is held back). */
  pause(): void;
  resume(): void;
  /** RST to both sides. */
  reset(): void;
  /**
   * The two sides lose each other without a word: nothing passes any more, bytes are swallowed, and when one side closes
   * the other is not told. It lasts until the connection is reset or the proxy closed.
   */
  isolate(): void;
}

export interface ChaosConnection extends ChaosControls {
  /** From 1, in order of arrival. */
  readonly id: number;
  readonly toServer: Traffic;
  readonly toClient: Traffic;
  readonly isClosed: boolean;
  /** Resolves with the connection as soon as `condition` holds. */
  until(condition: (connection: ChaosConnection) => boolean): Promise<ChaosConnection>;
}

/** A TCP proxy on loopback that behaves as badly as it is told. */
export interface ChaosProxy extends ChaosControls {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly connections: readonly ChaosConnection[];
  /** Resets connections as they arrive (`true`), as a host without a listener would, or takes them again. */
  refuse(refused: boolean): void;
  /** The n-th connection (from 1). */
  connected(n: number): Promise<ChaosConnection>;
  close(): Promise<void>;
}

export async function startChaosProxy(options: ChaosProxyOptions): Promise<ChaosProxy> {
  const { clock = systemClock, seed = 1, target } = options;
  const connections: Connection[] = [];
  const watchers = new Watchers<readonly Connection[]>('The chaos proxy');
  const gate = new Gate();
  let forecast: Forecast = options;
  let isRefusing = false;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, client => {
    if (isRefusing) {
      client.on('error', () => {}).resetAndDestroy();
      return;
    }
    const upstream = connect({
      host: target.host ?? '127.0.0.1',
      port: target.port,
      allowHalfOpen: true,
      noDelay: true,
    });
    const id = connections.length + 1;
    connections.push(
      new Connection({
        id,
        client,
        upstream,
        clock,
        random: seededRandom(seed * 7_919 + id),
        gate,
        forecast: () => forecast,
      }),
    );
    watchers.changed();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The chaos proxy has no port');

  const each = (act: (connection: Connection) => void) => {
    for (const connection of connections) if (!connection.isClosed) act(connection);
  };

  return {
    host: '127.0.0.1',
    port: address.port,
    connections,
    set: next => {
      forecast = merge(forecast, next);
    },
    pause: () => gate.close(),
    resume: () => gate.open(),
    reset: () => each(connection => connection.reset()),
    isolate: () => each(connection => connection.isolate()),
    refuse: refused => {
      isRefusing = refused;
    },
    connected: async n => {
      await watchers.until(connections, () => connections.length >= n, `connection ${n}`);
      const connection = connections[n - 1];
      if (!connection) throw new RangeError('Connections are counted from 1');
      return connection;
    },
    close: async () => {
      const stopped = new Promise(resolve => server.close(resolve));
      gate.open();
      await Promise.all(connections.map(connection => connection.stop()));
      await stopped;
      watchers.close();
    },
  };
}

class Connection implements ChaosConnection {
  readonly id: number;
  readonly toServer: Pump;
  readonly toClient: Pump;
  readonly #sockets: readonly [client: Socket, upstream: Socket];
  readonly #stop = new AbortController();
  readonly #gate = new Gate();
  readonly #watchers = new Watchers<ChaosConnection>('The chaos proxy');
  readonly #closed: Promise<unknown>;
  #forecast: Forecast = {};
  #isIsolated = false;
  #openSockets = 2;

  constructor(options: {
    readonly id: number;
    readonly client: Socket;
    readonly upstream: Socket;
    readonly clock: Clock;
    readonly random: () => number;
    readonly gate: Gate;
    readonly forecast: () => Forecast;
  }) {
    const { client, upstream, clock, random } = options;
    this.id = options.id;
    this.#sockets = [client, upstream];
    const pump = (direction: 'toServer' | 'toClient', from: Socket, to: Socket) =>
      new Pump({
        from,
        to,
        clock,
        random: seededRandom(random() * 2 ** 32),
        signal: this.#stop.signal,
        weather: () => {
          const all = options.forecast();
          return {
            ...fairWeather,
            ...all.both,
            ...all[direction],
            ...this.#forecast.both,
            ...this.#forecast[direction],
          };
        },
        open: async () => {
          const { signal } = this.#stop;
          const next = () => options.gate.passing(signal) ?? this.#gate.passing(signal);
          for (let closed = next(); closed; closed = next()) await closed;
        },
        isIsolated: () => this.#isIsolated,
        onCut: how => this.#cut(how, from, to),
        onChange: () => this.#watchers.changed(),
      });
    this.toServer = pump('toServer', client, upstream);
    this.toClient = pump('toClient', upstream, client);
    this.#closed = Promise.all(this.#sockets.map(socket => this.#untilClosed(socket)));
  }

  get isClosed(): boolean {
    return this.#openSockets === 0;
  }

  set(forecast: Forecast): void {
    this.#forecast = merge(this.#forecast, forecast);
  }

  pause(): void {
    this.#gate.close();
  }

  resume(): void {
    this.#gate.open();
  }

  reset(): void {
    this.#stop.abort();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  isolate(): void {
    this.#isIsolated = true;
  }

  until(condition: (connection: ChaosConnection) => boolean): Promise<ChaosConnection> {
    return this.#watchers.until(this, condition, `connection ${this.id}`);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const socket of this.#sockets) socket.destroy();
    await this.#closed;
    this.#watchers.close();
  }

  #cut(how: 'rst' | 'fin', from: Socket, to: Socket): void {
    if (how === 'rst') {
      this.reset();
      return;
    }
    to.end();
    from.destroy();
    this.#stop.abort();
  }

  #untilClosed(socket: Socket): Promise<void> {
    return new Promise(resolve => {
      socket.once('close', () => {
        this.#openSockets--;
        this.#watchers.changed();
        resolve();
      });
    });
  }
}

function merge(before: Forecast, change: Forecast): Forecast {
  return {
    both: { ...before.both, ...change.both },
    toServer: { ...before.toServer, ...change.both, ...change.toServer },
    toClient: { ...before.toClient, ...change.both, ...change.toClient },
  };
}
