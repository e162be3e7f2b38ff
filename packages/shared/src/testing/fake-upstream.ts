import { createServer, type Socket } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';
import { type ExchangeEnd, Meter, type MeteredRequest } from './fake-upstream/meter.ts';
import { choosePlan, type Plan, type PlanSource } from './fake-upstream/plan.ts';
import { play } from './fake-upstream/play.ts';
import { createRequestParser } from './fake-upstream/request-parser.ts';
import { Watchers } from './watchers.ts';

export interface FakeUpstreamOptions {
  /** What to answer. Each connection serves its requests one after another. */
  readonly plan: PlanSource;
  /** Whether to answer when the whole request is here, as by default, or as soon as its head is. */
  readonly answerOn?: 'request' | 'head';
  /** Steps for a connection as it is accepted, before it sent anything: `[{ op: 'rst' }]`, or bytes nobody asked for. */
  readonly onConnection?: (connectionId: number) => Plan | undefined;
  /** Owns `at`, `everyMs` and `stall`, and the times in the meter. Default: real time. */
  readonly clock?: Clock;
  /** How much of each body is kept for `body()` and `sentBody()`. Default 8 MiB. */
  readonly keepBytes?: number;
}

/**
 * An HTTP/1.1 server on a real loopback socket that plays a fault plan to each request and keeps account of what it really
 * received and sent. It follows no rule of the protocol that a plan breaks.
 */
export interface FakeUpstream {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  readonly requests: readonly MeteredRequest[];
  /** Requests that were not HTTP, as told by the parser: what our own client should never send. */
  readonly protocolErrors: readonly string[];
  readonly openConnections: number;
  readonly totalConnections: number;
  /** Another answer for requests to come. */
  use(plan: PlanSource): void;
  /** The n-th request (from 1), once its head is here. */
  requestStarted(n: number): Promise<MeteredRequest>;
  /** The n-th request (from 1), once it is here with its whole body. */
  requestReceived(n: number): Promise<MeteredRequest>;
  /** The n-th request (from 1), once its exchange is over, whoever ended it. */
  closed(n: number): Promise<MeteredRequest>;
  /** Resolves when no connection is open. */
  allConnectionsClosed(): Promise<void>;
  /**
   * Cuts every connection and stops listening. Rejects with what a plan threw that was neither the client's leaving nor
   * this call, so a broken plan fails its test.
   */
  close(): Promise<void>;
}

interface Shared {
  readonly clock: Clock;
  readonly keepBytes: number;
  readonly answerOn: 'request' | 'head';
  readonly meters: Meter[];
  readonly protocolErrors: string[];
  readonly failures: unknown[];
  readonly onChange: () => void;
  source: PlanSource;
}

/** Why an exchange was stopped from outside its plan. */
class Stopped extends Error {
  readonly how: ExchangeEnd;

  constructor(how: ExchangeEnd) {
    super(how);
    this.how = how;
  }
}

export async function startFakeUpstream(options: FakeUpstreamOptions): Promise<FakeUpstream> {
  const watchers = new Watchers<readonly MeteredRequest[]>('The fake upstream');
  const shared: Shared = {
    clock: options.clock ?? systemClock,
    keepBytes: options.keepBytes ?? 8 * 1024 * 1024,
    answerOn: options.answerOn ?? 'request',
    meters: [],
    protocolErrors: [],
    failures: [],
    onChange: () => watchers.changed(),
    source: options.plan,
  };
  const connections = new Map<number, Connection>();
  let totalConnections = 0;

  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const id = ++totalConnections;
    const connection = new Connection(socket, id, shared, options.onConnection?.(id));
    connections.set(id, connection);
    socket.once('close', () => {
      connections.delete(id);
      watchers.changed();
    });
  });
  const port = await listen(server);

  const nth = async (n: number, condition: (request: MeteredRequest) => boolean, what: string) => {
    const isThere = () => {
      const meter = shared.meters[n - 1];
      return meter !== undefined && condition(meter);
    };
    await watchers.until(shared.meters, isThere, `${what} ${n}`);
    const meter = shared.meters[n - 1];
    if (!meter) throw new RangeError('Requests are counted from 1');
    return meter;
  };

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: shared.meters,
    protocolErrors: shared.protocolErrors,
    get openConnections() {
      return connections.size;
    },
    get totalConnections() {
      return totalConnections;
    },
    use: plan => {
      shared.source = plan;
    },
    requestStarted: n => nth(n, () => true, 'the head of request'),
    requestReceived: n => nth(n, request => request.receivedAtMs !== undefined, 'request'),
    closed: n => nth(n, request => request.end !== undefined, 'the end of request'),
    allConnectionsClosed: async () => {
      await watchers.until(shared.meters, () => connections.size === 0, 'all connections to close');
    },
    close: async () => {
      const stopped = new Promise(resolve => server.close(resolve));
      await Promise.all([...connections.values()].map(connection => connection.stop()));
      await stopped;
      watchers.close();
      for (const meter of shared.meters) meter.giveUp();
      if (shared.failures.length > 0)
        throw new AggregateError(shared.failures, 'A plan of the fake upstream failed');
    },
  };
}

/** One accepted socket: requests are read as they come and answered one after another. */
class Connection {
  readonly #socket: Socket;
  readonly #shared: Shared;
  readonly #stop = new AbortController();
  #queue: Promise<unknown> = Promise.resolve();
  #incoming: { readonly meter: Meter; readonly received: PromiseWithResolvers<void> } | undefined;

  constructor(socket: Socket, id: number, shared: Shared, greeting: Plan | undefined) {
    this.#socket = socket;
    this.#shared = shared;
    if (greeting) this.#enqueue(undefined, () => greeting);
    const parser = createRequestParser({
      onHead: head => {
        const { clock, keepBytes, meters, onChange } = shared;
        const meter = new Meter(head, {
          index: meters.length + 1,
          connectionId: id,
          keepBytes,
          monotonic: () => clock.monotonic(),
          onChange,
        });
        meters.push(meter);
        const received = Promise.withResolvers<void>();
        this.#incoming = { meter, received };
        this.#answer(meter, received.promise);
      },
      onBody: bytes => this.#incoming?.meter.receivedBody(bytes),
      onEnd: () => {
        this.#incoming?.meter.received();
        this.#incoming?.received.resolve();
      },
    });
    socket.on('data', bytes => {
      try {
        parser.push(bytes);
      } catch (error) {
        shared.protocolErrors.push(String(error));
        socket.destroy();
      }
    });
    socket.on('end', () => this.#leave('client-fin'));
    socket.on('error', () => this.#leave('client-reset'));
    socket.on('close', () => this.#leave('client-fin'));
  }

  async stop(): Promise<void> {
    const isClosed = new Promise(resolve => {
      if (this.#socket.closed) resolve(undefined);
      else this.#socket.once('close', resolve);
    });
    this.#leave('upstream-closed');
    await Promise.all([isClosed, this.#queue]);
  }

  #leave(how: ExchangeEnd): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(new Stopped(how));
    this.#incoming?.received.resolve();
    if (!this.#socket.writableEnded || how !== 'client-fin') this.#socket.destroy();
  }

  #answer(meter: Meter, received: Promise<void>): void {
    this.#enqueue(meter, async () => {
      if (this.#shared.answerOn === 'request') await received;
      return choosePlan(this.#shared.source, meter);
    });
  }

  /** A connection plays one plan at a time, in the order of the requests. */
  #enqueue(meter: Meter | undefined, choose: () => Plan | Promise<Plan>): void {
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#play(choose, meter);
      } catch (error) {
        this.#shared.failures.push(error);
        this.#socket.destroy();
      }
    });
  }

  async #play(choose: () => Plan | Promise<Plan>, meter: Meter | undefined): Promise<void> {
    const { signal } = this.#stop;
    try {
      const steps = await choose();
      signal.throwIfAborted();
      const how = await play(steps, { socket: this.#socket, clock: this.#shared.clock, meter, signal });
      meter?.ended(how);
    } catch (error) {
      if (error instanceof Stopped) meter?.ended(error.how);
      else if (this.#socket.destroyed || this.#socket.errored) meter?.ended('client-reset');
      else throw error;
    }
  }
}

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The fake upstream has no port');
  return address.port;
}
