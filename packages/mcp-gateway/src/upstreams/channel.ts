import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import {
  type ClientHello,
  clientCapabilitiesFor,
  isObject,
  type ServerHello,
} from '../domain/capabilities.ts';
import type { NotificationFrame, RequestFrame, ResponseFrame } from '../domain/frame.ts';
import { isLegacyVersion, legacyVersionFor } from '../domain/protocol-versions.ts';
import type {
  CallEvents,
  Channel,
  ChannelOwner,
  ForwardedCall,
  ForwardedHandle,
  Upstream,
} from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { rawText } from '../wire/frame.ts';
import { renderNotification } from '../wire/render.ts';
import { askOn, SessionLost, showsLife } from './ask.ts';
import { sessionClosed } from './channel-ends.ts';
import { Connection } from './connection.ts';
import { type CallHost, LegacyCall } from './legacy-call.ts';
import type { TransportFactory } from './transport.ts';

const firstReviveMs = 500;
const maxReviveMs = 30_000;

type State =
  | { readonly status: 'closed' }
  | { readonly status: 'opening'; readonly connection: Connection; readonly opened: Promise<Opened> }
  | ({ readonly status: 'open' } & Opened)
  | { readonly status: 'ended' };

interface Opened {
  readonly connection: Connection;
  readonly hello: ServerHello;
}

export interface ChannelOptions {
  readonly upstream: Upstream;
  readonly factory: TransportFactory;
  readonly hello: ClientHello;
  readonly owner: ChannelOwner;
  readonly clock: Clock;
  readonly onStray: () => void;
}

/**
 * A conversation with one server that heals: a lost connection is opened again at the next use, and a session that the
 * server forgot is initialised again once for all who wait. Only a call that the server refused to look at is sent again;
 * any other that was under way gets an error, because nobody can know whether it was done.
 */
export class UpstreamChannel implements Channel {
  readonly upstream: Upstream;
  readonly #options: ChannelOptions;
  #state: State = { status: 'closed' };
  #probed: Connection | undefined;
  readonly #host: CallHost;

  constructor(options: ChannelOptions) {
    this.upstream = options.upstream;
    this.#options = options;
    const { elicitation } = options.hello.capabilities;
    this.#host = {
      channel: this,
      canOpenPages: isObject(elicitation) && elicitation.url !== undefined,
      reopen: lost => this.#reopen(lost),
      lostError: () => this.#lost(),
      suspect: connection => void this.#probe(connection), // never rejects
    };
  }

  get isReady(): boolean {
    return this.#state.status === 'open';
  }

  async ready(signal: StopSignal): Promise<ServerHello> {
    return (await this.#opened(signal)).hello;
  }

  forward(call: ForwardedCall, events: CallEvents): ForwardedHandle {
    const running = new LegacyCall(call, events, this.#host);
    running.start(this.#state.status === 'open' ? this.#state.connection : undefined);
    return running;
  }

  async ask(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal: StopSignal,
  ): Promise<ResponseFrame> {
    const { connection } = await this.#opened(signal);
    try {
      return await askOn(connection, method, params, signal);
    } catch (error) {
      if (!(error instanceof SessionLost)) throw error;
      this.#forget(connection);
      const again = await this.#opened(signal);
      return askOn(again.connection, method, params, signal);
    }
  }

  tell(bytes: Buffer): void {
    if (this.#state.status === 'open') this.#state.connection.transport.send(bytes, undefined);
  }

  async watchLists(): Promise<void> {}

  async watchTask(): Promise<boolean> {
    return false;
  }

  async close(reason = sessionClosed()): Promise<void> {
    const state = this.#state;
    this.#state = { status: 'ended' };
    if (state.status === 'open' || state.status === 'opening') await state.connection.close(reason);
  }

  async #reopen(lost: Connection): Promise<Connection> {
    this.#forget(lost);
    return (await this.#opened(new AbortController().signal)).connection;
  }

  #opened(signal: StopSignal): Promise<Opened> {
    switch (this.#state.status) {
      case 'open':
        return Promise.resolve(this.#state);
      case 'opening':
        return withSignal(this.#state.opened, signal);
      case 'ended':
        return Promise.reject(this.#lost());
      case 'closed': {
        const connection = this.#connect();
        const opened = this.#open(connection);
        opened.catch(() => {}); // those who wait get it; nobody may be left waiting
        this.#state = { status: 'opening', connection, opened };
        return withSignal(opened, signal);
      }
    }
  }

  #connect(): Connection {
    const { upstream, factory, owner, onStray } = this.#options;
    const connection: Connection = new Connection(
      {
        server: upstream.name,
        maxResultBytes: upstream.policy.maxResultBytes,
        isShared: upstream.policy.sharing === 'shared',
      },
      events => factory.create(events, 'legacy', owner),
      {
        onNotification: (frame: NotificationFrame) => owner.onNotification(this, frame),
        onRequest: (frame: RequestFrame) => owner.onRequest(this, frame),
        onStray,
        onClosed: error => {
          if (!this.#forget(connection)) return;
          owner.onLost(this, error);
          this.#revive(firstReviveMs);
        },
      },
    );
    return connection;
  }

  async #open(connection: Connection): Promise<Opened> {
    const { upstream, hello, owner } = this.#options;
    const timeout = AbortSignal.timeout(upstream.policy.openTimeoutMs);
    try {
      await connection.transport.start();
      const opened = { connection, hello: await this.#handshake(connection, hello, timeout) };
      if (this.#state.status !== 'opening' || connection.isClosed) throw this.#lost(); // closed meanwhile
      this.#state = { status: 'open', ...opened };
      owner.onOpened(this, opened.hello);
      return opened;
    } catch (error) {
      if (this.#state.status === 'opening') this.#state = { status: 'closed' };
      const failure = this.#explain(error, timeout);
      await connection.close(failure);
      throw failure;
    }
  }

  async #handshake(connection: Connection, hello: ClientHello, signal: StopSignal): Promise<ServerHello> {
    const frame = await askOn(
      connection,
      'initialize',
      {
        protocolVersion: legacyVersionFor(hello.protocolVersion),
        capabilities: clientCapabilitiesFor(hello, 'legacy'),
        clientInfo: hello.clientInfo,
      },
      signal,
    );
    const result: unknown = frame.result && JSON.parse(rawText(frame.bytes, frame.result));
    if (
      !isObject(result) ||
      typeof result.protocolVersion !== 'string' ||
      !isLegacyVersion(result.protocolVersion)
    ) {
      throw new GatewayError(
        'upstream_failed',
        `The server '${this.upstream.name}' did not accept the handshake.`,
        {
          reason: 'server_handshake_failed',
          details: { server: this.upstream.name },
        },
      );
    }
    connection.transport.opened(result.protocolVersion);
    connection.transport.send(renderNotification('notifications/initialized', {}), undefined);
    return {
      protocolVersion: result.protocolVersion,
      capabilities: isObject(result.capabilities) ? result.capabilities : {},
      serverInfo: isObject(result.serverInfo) ? result.serverInfo : {},
      instructions: typeof result.instructions === 'string' ? result.instructions : undefined,
    };
  }

  /** A server that does not even answer a ping is stuck: its calls get their error, the next use opens it anew (F52). */
  async #probe(connection: Connection): Promise<void> {
    if (this.#probed === connection) return;
    this.#probed = connection;
    const isAlive = await showsLife(connection, 'ping', {}, this.upstream.policy.openTimeoutMs);
    this.#probed = undefined;
    if (isAlive || !this.#forget(connection)) return;
    const error = this.#lost();
    this.#options.owner.onLost(this, error);
    this.#revive(firstReviveMs);
    await connection.close(error);
  }

  /** Opens a lost conversation again while its owner needs it, waiting longer each time. */
  #revive(delayMs: number): void {
    if (!this.#options.owner.needs(this)) return;
    this.#options.clock.schedule(delayMs, () => {
      if (this.#state.status !== 'closed' || !this.#options.owner.needs(this)) return;
      this.#opened(new AbortController().signal).catch(() =>
        this.#revive(Math.min(maxReviveMs, delayMs * 2)),
      );
    });
  }

  /** Stops using a connection. `false` when it was not the one in use. */
  #forget(connection: Connection): boolean {
    if (this.#state.status !== 'open' || this.#state.connection !== connection) return false;
    this.#state = { status: 'closed' };
    return true;
  }

  #explain(error: unknown, timeout: StopSignal): GatewayError {
    if (!timeout.aborted) return error instanceof SessionLost ? this.#lost() : GatewayError.from(error);
    return new GatewayError(
      'timeout',
      `The server '${this.upstream.name}' did not answer the handshake within ${this.upstream.policy.openTimeoutMs} ms.`,
      { reason: 'server_open_timeout', details: { server: this.upstream.name }, cause: error },
    );
  }

  #lost(): GatewayError {
    return new GatewayError(
      'upstream_failed',
      `The conversation with the server '${this.upstream.name}' was lost.`,
      {
        reason: 'server_session_lost',
        details: { server: this.upstream.name },
      },
    );
  }
}
