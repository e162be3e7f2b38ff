import type { Clock } from '@strata/shared/clock.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ClientHello, ServerHello } from '../domain/capabilities.ts';
import { kindsOfChange, listKinds } from '../domain/catalog.ts';
import type { NotificationFrame, RequestFrame, ResponseFrame } from '../domain/frame.ts';
import { eraOf } from '../domain/protocol-versions.ts';
import type { Channel, ChannelOwner, Upstream } from '../domain/upstream.ts';
import { ChannelLists } from './channel-lists.ts';
import { ResourceHolds, type Told } from './resource-holds.ts';
import type { ServerFacts } from './server-facts.ts';
import { type Participant, type SharedChannels, unsubscribe } from './shared-channels.ts';
import { tooManySubscriptions } from './subscription-limit.ts';

export interface SessionChannelsOptions {
  readonly hello: ClientHello;
  readonly shared: SharedChannels;
  readonly facts: ServerFacts;
  readonly log: Logger;
  readonly clock: Clock;
  readonly events: SessionChannelEvents;
  /** Resources at a time. */
  readonly maxSubscriptions: number;
}

/** What concerns the session, whichever way its servers are shared. */
export interface SessionChannelEvents extends Participant {
  onMessage(channel: Channel, frame: NotificationFrame): void;
  onRequest(channel: Channel, frame: RequestFrame): void;
  onCancelled(channel: Channel, frame: NotificationFrame): void;
  /** How a task goes on that somebody asked about (SEP-2663). */
  onTask(upstream: Upstream, frame: NotificationFrame): void;
  onLost(channel: Channel): void;
  /** What the client set up has changed: log level or subscriptions. */
  onSettingsChanged(): void;
}

interface Own {
  readonly channel: Channel;
  readonly lists: ChannelLists;
  readonly holds: ResourceHolds<Participant>;
}

/**
 * The conversations one session has with servers, each opened when it is first needed. What the client set up once (log
 * level, subscriptions) is set up again whenever a conversation had to be opened anew.
 */
export class SessionChannels implements ChannelOwner {
  readonly #options: SessionChannelsOptions;
  readonly #own = new Map<Upstream, Own>();
  readonly #joined = new Set<Upstream>();
  readonly #subscribed = new Map<Upstream, Set<string>>();
  /** Subscriptions that are not answered yet. */
  #asking = 0;
  #logLevel: string | undefined;
  #isClosed = false;
  #isWatching = false;

  constructor(options: SessionChannelsOptions) {
    this.#options = options;
  }

  channelOf(upstream: Upstream): Channel {
    return upstream.policy.sharing === 'shared'
      ? this.#shared(upstream).channel
      : this.#ownOf(upstream).channel;
  }

  listsOf(upstream: Upstream): ChannelLists {
    return upstream.policy.sharing === 'shared' ? this.#shared(upstream).lists : this.#ownOf(upstream).lists;
  }

  get logLevel(): string | undefined {
    return this.#logLevel;
  }

  subscriptions(): { readonly server: string; readonly uri: string }[] {
    return [...this.#subscribed].flatMap(([{ name }, uris]) => [...uris].map(uri => ({ server: name, uri })));
  }

  /** Sets up what the client had set up on another replica. Servers are told when they are opened, which is now for subscriptions. */
  restore(
    logLevel: string | undefined,
    find: (server: string) => Upstream | undefined,
    subscriptions: readonly { readonly server: string; readonly uri: string }[],
  ): void {
    this.#logLevel = logLevel;
    for (const { server, uri } of subscriptions) {
      const upstream = find(server);
      if (!upstream) continue;
      this.#remember(upstream, uri, true);
      this.#renew(upstream, uri).catch((error: unknown) => {
        this.#options.log.warn({ server, err: error }, 'a subscription could not be renewed');
      });
    }
  }

  /** A conversation of the session's own is set up as it opens; a shared one may be open already. */
  async #renew(upstream: Upstream, uri: string): Promise<void> {
    const { events } = this.#options;
    const signal = AbortSignal.timeout(upstream.policy.openTimeoutMs);
    const channel = this.channelOf(upstream);
    if (upstream.policy.sharing === 'session') {
      this.#ownOf(upstream).holds.adopt(uri, events);
      await channel.ready(signal);
      return;
    }
    const { holds } = this.#shared(upstream);
    const ask = () => toldBy(channel.ask('resources/subscribe', { uri }, signal));
    try {
      await holds.hold(uri, events, { ask, signal });
    } finally {
      if (!this.#has(upstream)) this.#drop(holds, uri);
    }
  }

  /**
   * Resolves with the server's answer; with `undefined` where it tells others already and was not asked.
   * @throws GatewayError invalid_request (`too_many_subscriptions`), what `ask` throws, or the signal's reason
   */
  async subscribe<Answer extends Told>(
    upstream: Upstream,
    uri: string,
    asking: { readonly ask: () => Promise<Answer>; readonly signal: StopSignal },
  ): Promise<Answer | undefined> {
    const { events } = this.#options;
    const holds = this.#holdsOf(upstream);
    if (!this.#subscribed.get(upstream)?.has(uri) && this.#asked() >= this.#options.maxSubscriptions)
      throw tooManySubscriptions('uri');
    this.#asking++;
    try {
      return await holds.hold(uri, events, asking);
    } finally {
      this.#asking--;
      if (!this.#has(upstream)) this.#drop(holds, uri);
      else this.#remember(upstream, uri, holds.isHeldBy(uri, events));
    }
  }

  /** Asks the server when nobody else wants it. @throws what `ask` throws, or the signal's reason */
  async unsubscribe<Answer>(
    upstream: Upstream,
    uri: string,
    asking: { readonly ask: (wasHeld: boolean) => Promise<Answer>; readonly signal: StopSignal },
  ): Promise<Answer | undefined> {
    this.#remember(upstream, uri, false);
    return this.#holdsOf(upstream).release(uri, this.#options.events, asking);
  }

  /** Not once the session or the server is gone: what comes of what was asked then comes too late. */
  #has(upstream: Upstream): boolean {
    return !this.#isClosed && (this.#own.has(upstream) || this.#joined.has(upstream));
  }

  #drop(holds: ResourceHolds<Participant>, uri: string): void {
    holds.drop(uri, this.#options.events).catch(() => {}); // who cannot be reached tells nothing
  }

  #asked(): number {
    let count = this.#asking;
    for (const uris of this.#subscribed.values()) count += uris.size;
    return count;
  }

  #remember(upstream: Upstream, uri: string, isWanted: boolean): void {
    const uris = this.#subscribed.get(upstream) ?? new Set();
    if (uris.has(uri) === isWanted) return;
    if (isWanted) this.#subscribed.set(upstream, uris.add(uri));
    else if (uris.delete(uri) && uris.size === 0) this.#subscribed.delete(upstream);
    this.#options.events.onSettingsChanged();
  }

  #holdsOf(upstream: Upstream): ResourceHolds<Participant> {
    return upstream.policy.sharing === 'shared' ? this.#shared(upstream).holds : this.#ownOf(upstream).holds;
  }

  /** Servers that only this session uses get the level; a shared one's log reaches nobody. */
  async setLogLevel(level: string, signal: StopSignal): Promise<void> {
    this.#logLevel = level;
    this.#options.events.onSettingsChanged();
    await Promise.all(
      [...this.#own.values()].map(({ channel }) => this.#sendLogLevel(channel, level, signal)),
    );
  }

  /** Whether the client wants to hear about changes of lists. */
  async watchLists(isWatching: boolean): Promise<void> {
    this.#isWatching = isWatching;
    await Promise.all([...this.#own.values()].map(({ channel }) => channel.watchLists(isWatching)));
  }

  /** To every server this session has a conversation of its own with. */
  broadcast(bytes: Buffer): void {
    for (const { channel } of this.#own.values()) channel.tell(bytes);
  }

  /** Servers were removed from the configuration. */
  async drop(upstream: Upstream): Promise<void> {
    const own = this.#own.get(upstream);
    this.#own.delete(upstream);
    this.#joined.delete(upstream);
    this.#subscribed.delete(upstream);
    await own?.channel.close();
  }

  upstreams(): Upstream[] {
    return [...this.#own.keys(), ...this.#joined];
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const own = [...this.#own.values()];
    this.#own.clear();
    for (const upstream of this.#joined) this.#options.shared.of(upstream).leave(this.#options.events);
    await Promise.all(own.map(({ channel }) => channel.close()));
  }

  onNotification(channel: Channel, frame: NotificationFrame): void {
    const { events } = this.#options;
    const kinds = kindsOfChange(frame.method);
    if (kinds.length > 0) {
      this.#own.get(channel.upstream)?.lists.invalidate(kinds);
      events.onListsChanged(kinds, channel.upstream);
    } else if (frame.method === 'notifications/resources/updated') {
      events.onResourceUpdated(channel.upstream, frame);
    } else if (frame.method === 'notifications/tasks') {
      events.onTask(channel.upstream, frame);
    } else if (frame.method === 'notifications/cancelled') {
      events.onCancelled(channel, frame);
    } else {
      events.onMessage(channel, frame);
    }
  }

  onRequest(channel: Channel, frame: RequestFrame): void {
    this.#options.events.onRequest(channel, frame);
  }

  onOpened(channel: Channel, hello: ServerHello): void {
    this.#options.facts.learn(channel.upstream, hello);
    this.#options.events.onListsChanged(listKinds);
    const signal = AbortSignal.timeout(channel.upstream.policy.callTimeoutMs);
    if (this.#logLevel !== undefined && hello.capabilities.logging !== undefined) {
      void this.#sendLogLevel(channel, this.#logLevel, signal);
    }
    for (const uri of this.#own.get(channel.upstream)?.holds.confirmed() ?? []) {
      channel.ask('resources/subscribe', { uri }, signal).catch((error: unknown) => {
        this.#options.log.warn(
          { server: channel.upstream.name, err: error },
          'a subscription could not be renewed',
        );
      });
    }
  }

  onLost(channel: Channel): void {
    this.#own.get(channel.upstream)?.lists.invalidateAll();
    this.#options.events.onLost(channel);
  }

  needs(channel: Channel): boolean {
    return (this.#own.get(channel.upstream)?.holds.size ?? 0) > 0;
  }

  #ownOf(upstream: Upstream): Own {
    let own = this.#own.get(upstream);
    if (!own) {
      const channel = upstream.createChannel(this.#options.hello, this);
      void channel.watchLists(this.#isWatching); // never rejects
      const hasTasks = eraOf(this.#options.hello.protocolVersion) === 'legacy';
      const lists = new ChannelLists(channel, this.#options.clock, hasTasks);
      own = { channel, lists, holds: new ResourceHolds(uri => unsubscribe(channel, uri)) };
      if (this.#isClosed)
        void channel.close(); // a call that was still on its way; it gets the error of a closed channel
      else this.#own.set(upstream, own);
    }
    return own;
  }

  #shared(upstream: Upstream) {
    const shared = this.#options.shared.of(upstream);
    if (!this.#joined.has(upstream) && !this.#isClosed) {
      this.#joined.add(upstream);
      shared.join(this.#options.events);
    }
    return shared;
  }

  async #sendLogLevel(channel: Channel, level: string, signal: StopSignal): Promise<void> {
    try {
      const { capabilities } = await channel.ready(signal);
      if (capabilities.logging !== undefined) await channel.ask('logging/setLevel', { level }, signal);
    } catch (error) {
      this.#options.log.warn({ server: channel.upstream.name, err: error }, 'the log level could not be set');
    }
  }
}

/** An answer as that of a server that was asked to tell. */
export async function toldBy(answer: Promise<ResponseFrame>): Promise<Told> {
  return { isRefused: (await answer).error !== undefined };
}
