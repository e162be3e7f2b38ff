import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { InFlightSet } from '@strata/shared/in-flight.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import {
  type ClientHello,
  clientCapabilitiesFor,
  isObject,
  type ServerHello,
} from '../domain/capabilities.ts';
import type { NotificationFrame, ResponseFrame } from '../domain/frame.ts';
import { modernVersion, newestLegacyVersion } from '../domain/protocol-versions.ts';
import type {
  CallEvents,
  Channel,
  ChannelOwner,
  ForwardedCall,
  ForwardedHandle,
  Upstream,
} from '../domain/upstream.ts';
import { withSignal } from '../domain/with-signal.ts';
import { parseFrame } from '../wire/frame.ts';
import { nameMemberOf, requestHeaders } from '../wire/modern/headers.ts';
import { hopMeta } from '../wire/modern/meta.ts';
import { askOn, showsLife } from './ask.ts';
import { sessionClosed } from './channel-ends.ts';
import { Connection } from './connection.ts';
import type { Discovered, UpstreamEra } from './era.ts';
import { ListenStream } from './listen-stream.ts';
import { ModernCall } from './modern-call.ts';
import type { TransportFactory } from './transport.ts';
import { WaitingPages } from './waiting-pages.ts';

export interface ModernChannelOptions {
  readonly upstream: Upstream;
  readonly factory: TransportFactory;
  readonly era: UpstreamEra;
  readonly ask: () => Promise<Discovered>;
  readonly hello: ClientHello;
  readonly owner: ChannelOwner;
  readonly clock: Clock;
  readonly onStray: () => void;
}

type State =
  | { readonly status: 'closed' }
  | { readonly status: 'open'; readonly connection: Connection; readonly hello: ServerHello }
  | { readonly status: 'ended' };

const emptyResult = '{"jsonrpc":"2.0","id":0,"result":{}}';

/**
 * A conversation with a server of the revision 2026-07-28, in the form of the sessions era: what that era asks a server once
 * (log level, subscriptions) is kept here and said with every request, and its `listen` stream is one of a session.
 */
export class ModernChannel implements Channel {
  readonly upstream: Upstream;
  readonly #options: ModernChannelOptions;
  readonly #meta: Readonly<Record<string, unknown>>;
  /** The same as raw JSON. */
  readonly #rawMeta: Readonly<Record<string, string>>;
  readonly #calls = new InFlightSet<ModernCall>();
  readonly #pages = new WaitingPages();
  readonly #listen: ListenStream;
  #state: State = { status: 'closed' };
  #opening: Promise<ServerHello> | undefined;
  #logLevel: string | undefined;
  #probed: Connection | undefined;

  constructor(options: ModernChannelOptions) {
    this.upstream = options.upstream;
    this.#options = options;
    this.#meta = {
      [hopMeta.protocolVersion]: modernVersion,
      [hopMeta.clientCapabilities]: clientCapabilitiesFor(options.hello, 'modern'),
      [hopMeta.clientInfo]: options.hello.clientInfo,
    };
    this.#rawMeta = Object.fromEntries(
      Object.entries(this.#meta).map(([key, value]) => [key, JSON.stringify(value)]),
    );
    this.#listen = new ListenStream({
      clock: options.clock,
      meta: this.#meta,
      connection: () => this.#connected(),
      reopen: () => this.ready(AbortSignal.timeout(options.upstream.policy.openTimeoutMs)),
      onReturned: () => {
        if (this.#state.status === 'open') options.owner.onOpened(this, this.#state.hello);
      },
    });
  }

  get isReady(): boolean {
    return this.#state.status === 'open';
  }

  ready(signal: StopSignal): Promise<ServerHello> {
    switch (this.#state.status) {
      case 'open':
        return Promise.resolve(this.#state.hello);
      case 'ended':
        return Promise.reject(this.#lost());
      case 'closed':
        this.#opening ??= this.#open().finally(() => {
          this.#opening = undefined;
        });
        return withSignal(this.#opening, signal);
    }
  }

  forward(call: ForwardedCall, events: CallEvents): ForwardedHandle {
    if (this.#state.status !== 'open') {
      events.onFailure(this.#lost());
      return { cancel: () => {} };
    }
    if (isOwnMethod(call.method)) return this.#answerOwn(call, events);
    const { connection } = this.#state;
    const running: ModernCall = new ModernCall(call, events, {
      channel: this,
      connection,
      meta: this.#metaFor(call),
      onOver: () => place.leave(),
      onPages: this.#opensPages ? goOnWith => this.#pages.set(call.digest(), goOnWith) : undefined,
      onWithdrawn: frame => this.#options.owner.onNotification(this, frame),
    });
    const place = this.#calls.add(running);
    running.start(call.takesInputRequired ? undefined : this.#pages.take(call.digest()));
    const isProcess = this.upstream.transport === 'pipe';
    return {
      cancel: (reason, isSuspect) => {
        running.cancel(reason);
        if (isSuspect && isProcess) void this.#probe(connection); // never rejects
      },
    };
  }

  /** A process that answers nothing is stuck: its calls get their error, the next use starts it anew (F52). */
  async #probe(connection: Connection): Promise<void> {
    if (this.#probed === connection) return;
    this.#probed = connection;
    const params = { _meta: this.#meta };
    const isAlive = await showsLife(
      connection,
      'server/discover',
      params,
      this.upstream.policy.openTimeoutMs,
    );
    this.#probed = undefined;
    if (isAlive || this.#state.status !== 'open' || this.#state.connection !== connection) return;
    this.#state = { status: 'closed' };
    const error = this.#lost();
    this.#options.owner.onLost(this, error);
    await connection.close(error);
  }

  async ask(
    method: string,
    params: Readonly<Record<string, unknown>>,
    signal: StopSignal,
  ): Promise<ResponseFrame> {
    await this.ready(signal);
    if (isOwnMethod(method)) return this.#doOwn(method, String(params.uri ?? params.level ?? ''));
    const member = nameMemberOf(method);
    const name = member === undefined ? undefined : String(params[member] ?? '');
    const headers = requestHeaders(method, name);
    return askOn(this.#connected(), method, { ...params, _meta: this.#meta }, signal, headers);
  }

  /** Answers to questions that were asked in this conversation. Nothing else of a client concerns such a server. */
  tell(bytes: Buffer): void {
    const frame = parseFrame(bytes);
    if (frame.kind !== 'response') return;
    for (const call of this.#calls) if (call.take(frame)) return;
  }

  watchLists(isWatching: boolean): Promise<void> {
    return this.#listen.watchLists(isWatching);
  }

  watchTask(taskId: string, isWatching: boolean): Promise<boolean> {
    return this.#listen.watchTask(taskId, isWatching);
  }

  async close(reason = sessionClosed()): Promise<void> {
    const state = this.#state;
    this.#state = { status: 'ended' };
    this.#listen.close();
    if (state.status === 'open') await state.connection.close(reason);
  }

  async #open(): Promise<ServerHello> {
    const { era, ask, owner, factory, onStray, upstream } = this.#options;
    const discovered = await era.decide(ask);
    if (discovered.era === 'legacy') throw this.#notModern();
    const connection: Connection = new Connection(
      {
        server: upstream.name,
        maxResultBytes: upstream.policy.maxResultBytes,
        isShared: upstream.policy.sharing === 'shared',
      },
      events => factory.create(events, 'modern', owner),
      {
        onNotification: (frame: NotificationFrame) => owner.onNotification(this, frame),
        onRequest: () => onStray(), // servers of this era ask in results, not by requests
        onStray,
        onClosed: error => {
          if (this.#state.status !== 'open' || this.#state.connection !== connection) return;
          this.#state = { status: 'closed' };
          owner.onLost(this, error);
        },
      },
    );
    await connection.transport.start();
    if (this.#state.status === 'ended') {
      await connection.close(this.#lost());
      throw this.#lost();
    }
    connection.transport.opened(modernVersion);
    this.#state = { status: 'open', connection, hello: discovered.hello };
    this.#listen.start(discovered.hello.capabilities);
    owner.onOpened(this, discovered.hello);
    return discovered.hello;
  }

  /** A client with a session that is told of pages by an error, and makes its call again (2025-11-25, -32042). */
  get #opensPages(): boolean {
    const { protocolVersion, capabilities } = this.#options.hello;
    const { elicitation } = capabilities;
    return protocolVersion === newestLegacyVersion && isObject(elicitation) && elicitation.url !== undefined;
  }

  #connected(): Connection {
    if (this.#state.status === 'open') return this.#state.connection;
    throw this.#lost();
  }

  #metaFor(call: ForwardedCall): Readonly<Record<string, string>> {
    const level =
      call.logLevel ?? (this.#logLevel === undefined ? undefined : JSON.stringify(this.#logLevel));
    return level === undefined ? this.#rawMeta : { ...this.#rawMeta, [hopMeta.logLevel]: level };
  }

  #answerOwn(call: ForwardedCall, events: CallEvents): ForwardedHandle {
    let isOver = false;
    this.#doOwn(call.method, call.name ?? '').then(
      frame => isOver || events.onAnswer(frame),
      (error: unknown) => isOver || events.onFailure(GatewayError.from(error)),
    );
    return {
      cancel: () => {
        isOver = true;
      },
    };
  }

  async #doOwn(method: string, value: string): Promise<ResponseFrame> {
    if (method === 'logging/setLevel') this.#logLevel = value;
    else if (method === 'resources/subscribe') await this.#listen.subscribe(value);
    else this.#listen.unsubscribe(value);
    return parseFrame(Buffer.from(emptyResult)) as ResponseFrame; // it is one
  }

  #lost(): GatewayError {
    const server = this.upstream.name;
    return new GatewayError('upstream_failed', `The conversation with the server '${server}' was lost.`, {
      reason: 'server_session_lost',
      details: { server },
    });
  }

  #notModern(): GatewayError {
    const server = this.upstream.name;
    return new GatewayError('upstream_failed', `The server '${server}' does not speak ${modernVersion}.`, {
      reason: 'server_handshake_failed',
      details: { server },
    });
  }
}

const ownMethods: ReadonlySet<string> = new Set([
  'resources/subscribe',
  'resources/unsubscribe',
  'logging/setLevel',
]);

/** Requests of the sessions era that this era has no message for. */
function isOwnMethod(method: string): boolean {
  return ownMethods.has(method);
}
