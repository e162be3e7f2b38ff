import { createHash } from 'node:crypto';
import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { changeOfKind, type ListKind, listKinds } from '../domain/catalog.ts';
import { createDebounce, type Debounce } from '../domain/debounce.ts';
import { EventLog } from '../domain/event-log.ts';
import { type Call, Exchange, failCall } from '../domain/exchange.ts';
import type { NotificationFrame, RequestFrame } from '../domain/frame.ts';
import { wantsPrimingEvent } from '../domain/protocol-versions.ts';
import {
  isOpen,
  nextSessionState,
  openSession,
  type SessionEnd,
  type SessionEvent,
  type SessionState,
} from '../domain/session.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { Channel, Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { textParam } from '../wire/frame.ts';
import { onOneLine, splice } from '../wire/splice.ts';
import type { ClientSide } from './client-side.ts';
import type { JoinedLists } from './joined-lists.ts';
import { ReverseRequests } from './reverse-requests.ts';
import type { ServerFacts } from './server-facts.ts';
import { SessionCatalog } from './session-catalog.ts';
import { SessionChannels } from './session-channels.ts';
import type { SharedChannels } from './shared-channels.ts';

export interface SessionWorld {
  /** The servers that are offered under a route. */
  readonly directoryOf: (route: string) => UpstreamDirectory;
  readonly facts: ServerFacts;
  readonly shared: SharedChannels;
  readonly joined: JoinedLists;
  readonly hot: Hot;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: () => GatewaySettings;
  readonly instance: string;
  readonly onDropped: () => void;
}

/** Who a session belongs to. Nobody else can use it, or learn that it exists (M5). */
export interface SessionBinding {
  readonly tenant: string;
  readonly principal: string;
  readonly route: string;
}

const standaloneStream = 's';
/** Finished streams past this are forgotten before their time. */
const maxStreams = 64;

/** One client's session: its state, its streams, its calls, and its conversations with servers. */
export class LiveSession implements ClientSide {
  readonly era = 'legacy';
  readonly id: string;
  /** Stands for the session in logs, traces and keys: the id itself is a credential. */
  readonly tag: string;
  readonly binding: SessionBinding;
  readonly hello: ClientHello;
  readonly channels: SessionChannels;
  readonly catalog: SessionCatalog;
  readonly reverse: ReverseRequests;
  readonly calls = new Set<Call>();
  readonly #world: SessionWorld;
  readonly #streams = new Map<string, { readonly log: EventLog; readonly openedAtMs: number }>();
  readonly #standalone: EventLog;
  readonly #listChanges: Debounce<ListKind>;
  #state: SessionState;
  #streamCount = 0;
  #lease: Promise<{ key: string; fence: number }> | undefined;

  constructor(id: string, caller: Caller, route: string, hello: ClientHello, world: SessionWorld) {
    this.id = id;
    this.tag = createHash('sha256').update(id).digest('hex').slice(0, 24);
    this.binding = { tenant: caller.tenant, principal: caller.principal, route };
    this.hello = hello;
    this.#world = world;
    this.#state = openSession(world.clock.monotonic());
    this.#listChanges = createDebounce(
      world.clock,
      () => world.settings().listChangedDebounceMs,
      kinds => {
        this.#tellChanges(kinds).catch((error: unknown) => {
          world.log.warn({ session: this.tag, err: error }, 'list changes could not be told');
        });
      },
    );
    this.#standalone = this.#openLog(standaloneStream, world.settings().sessions.absoluteMs);
    this.reverse = new ReverseRequests({
      clock: world.clock,
      timeoutMs: () => world.settings().inputTimeoutMs,
      capabilities: hello.capabilities,
    });
    this.channels = new SessionChannels({
      hello,
      shared: world.shared,
      facts: world.facts,
      log: world.log,
      events: this.#channelEvents(),
    });
    this.catalog = new SessionCatalog({
      directory: world.directoryOf(route),
      joined: world.joined,
      listsOf: upstream => this.channels.listsOf(upstream),
    });
  }

  get state(): SessionState {
    return this.#state;
  }

  get isBusy(): boolean {
    return this.calls.size > 0 || this.#standalone.isAttached;
  }

  /** The stream for messages that belong to no exchange. */
  get standalone(): EventLog {
    return this.#standalone;
  }

  /** The client spoke. */
  touch(): void {
    this.#apply({ type: 'used', atMs: this.#world.clock.monotonic() });
  }

  /** Looks at the clock. Finished streams that nobody fetched in time are forgotten. */
  tick(): void {
    const atMs = this.#world.clock.monotonic();
    this.#apply({ type: 'tick', atMs, isBusy: this.isBusy });
    const { keepMs } = this.#world.settings().streams;
    for (const [id, { log, openedAtMs }] of this.#streams) {
      if (log.isFinished && !log.isAttached && atMs - openedAtMs > keepMs) this.#streams.delete(id);
    }
  }

  close(reason: SessionEnd): void {
    this.#apply({ type: 'close', reason });
  }

  /** Ends everything that hangs on the session. Call once, when its state is `closing`. */
  async drain(): Promise<void> {
    const error = new GatewayError('cancelled', 'The session was closed.', { reason: 'session_closed' });
    for (const call of this.calls) failCall(call, error);
    this.#listChanges.cancel();
    this.reverse.close();
    this.#standalone.finish();
    await this.channels.close();
    const lease = await this.#lease?.catch(() => undefined);
    if (lease) {
      await this.#world.hot.releaseLease(lease.key, this.#world.instance, lease.fence).catch(() => false);
    }
    this.#apply({ type: 'drained' });
  }

  openExchange(options: { requests: number; isBatch: boolean; mayStream: boolean }): Exchange<EventLog> {
    return new Exchange({
      ...options,
      openStream: () => {
        const id = `x${++this.#streamCount}`;
        this.#makeRoomForStream();
        const log = this.#openLog(id, this.#world.settings().streams.keepMs);
        this.#streams.set(id, { log, openedAtMs: this.#world.clock.monotonic() });
        return log;
      },
    });
  }

  #makeRoomForStream(): void {
    if (this.#streams.size < maxStreams) return;
    for (const [id, { log }] of this.#streams) {
      if (!log.isFinished || log.isAttached) continue;
      this.#streams.delete(id);
      return;
    }
  }

  /** The stream an event id names, if it is one of this session. */
  streamOf(id: string): EventLog | undefined {
    return id === standaloneStream ? this.#standalone : this.#streams.get(id)?.log;
  }

  /** Sends a message on the stream of the call it belongs to, else on the session's own. */
  sendFor(call: Call | undefined, message: Buffer, mayBeLost: boolean): void {
    const line = onOneLine(message);
    if (call?.exchange.canCarryMessages && call.exchange.emit(line, mayBeLost)) return;
    this.#standalone.append(line.toString(), mayBeLost);
  }

  ask(call: Call, channel: Channel, frame: RequestFrame): void {
    this.reverse.ask(channel, frame, bytes => this.sendFor(call, bytes, false));
  }

  /** Servers were added, removed or changed in the configuration. */
  onServersChanged(removed: readonly Upstream[]): void {
    for (const upstream of removed) {
      this.channels.drop(upstream).catch((error: unknown) => {
        this.#world.log.warn({ server: upstream.name, err: error }, 'server did not close');
      });
    }
    this.#onListsChanged(listKinds);
  }

  #onListsChanged(kinds: readonly ListKind[]): void {
    if (isOpen(this.#state)) for (const kind of kinds) this.#listChanges.add(kind);
  }

  /** Tells the client about lists that would look different to it now, and about no others (P21). */
  async #tellChanges(kinds: ReadonlySet<ListKind>): Promise<void> {
    const signal = AbortSignal.timeout(this.#world.settings().listTimeoutMs);
    const methods = new Set<string>();
    for (const kind of kinds) {
      if (await this.catalog.hasChanged(kind, signal)) methods.add(changeOfKind(kind));
    }
    if (!isOpen(this.#state)) return;
    for (const method of methods) this.#standalone.append(JSON.stringify({ jsonrpc: '2.0', method }));
  }

  #apply(event: SessionEvent): void {
    this.#state = nextSessionState(this.#state, event, this.#world.settings().sessions);
  }

  #channelEvents() {
    return {
      onListsChanged: (kinds: readonly ListKind[]) => this.#onListsChanged(kinds),
      onResourceUpdated: (upstream: Upstream, frame: NotificationFrame) => this.#sendUpdate(upstream, frame),
      onMessage: (frame: NotificationFrame) => this.sendFor(undefined, frame.bytes, true),
      onRequest: (channel: Channel, frame: RequestFrame) =>
        this.reverse.ask(channel, frame, bytes => this.sendFor(undefined, bytes, false)),
      onCancelled: (channel: Channel, frame: NotificationFrame) => this.reverse.cancel(channel, frame),
      onLost: (channel: Channel) => {
        this.reverse.forget(channel);
      },
    };
  }

  #sendUpdate(upstream: Upstream, frame: NotificationFrame): void {
    const span = frame.params?.members?.get('uri');
    const uri = textParam(frame, 'uri');
    if (!span || uri === undefined) return;
    const exposed = this.catalog.routes.expose(upstream.name, uri);
    const edits =
      exposed === uri ? [] : [{ start: span.start, end: span.end, text: JSON.stringify(exposed) }];
    this.sendFor(undefined, splice(frame.bytes, edits), false);
  }

  #openLog(id: string, keepMs: number): EventLog {
    const { hot, settings, onDropped, log } = this.#world;
    const { maxEvents, maxBytes, retryMs } = settings().streams;
    return new EventLog({
      id,
      hot,
      ring: `mcp:{${this.tag}}:ring:${id}`,
      lease: () => this.#ownership(),
      maxEvents,
      maxBytes,
      keepMs,
      retryMs,
      hasPriming: wantsPrimingEvent(this.hello.protocolVersion),
      onFenced: () => {
        log.warn({ session: this.tag }, 'the session belongs to another gateway now');
        this.close('fenced');
      },
      onDropped,
    });
  }

  /** Taken with the first event: a session that only exchanges JSON leaves nothing in the store. */
  #ownership(): Promise<{ key: string; fence: number }> {
    this.#lease ??= this.#acquire().catch((error: unknown) => {
      this.#lease = undefined;
      throw error;
    });
    return this.#lease;
  }

  async #acquire(): Promise<{ key: string; fence: number }> {
    const key = `mcp:{${this.tag}}:lease`;
    const { hot, instance, settings } = this.#world;
    const lease = await hot.acquireLease(key, instance, settings().sessions.absoluteMs);
    return { key, fence: lease?.fence ?? -1 };
  }
}
