import type { Clock } from '@strata/shared/clock.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ClientHello, ServerHello } from '../domain/capabilities.ts';
import { kindsOfChange, listKinds } from '../domain/catalog.ts';
import type { NotificationFrame, RequestFrame } from '../domain/frame.ts';
import { eraOf } from '../domain/protocol-versions.ts';
import type { Channel, ChannelOwner, Upstream } from '../domain/upstream.ts';
import { ChannelLists } from './channel-lists.ts';
import type { ResourceHolds } from './resource-holds.ts';
import type { ServerFacts } from './server-facts.ts';
import { SessionSubscriptions } from './session-subscriptions.ts';
import { holdsIn, type Participant, type SharedChannels } from './shared-channels.ts';

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
  readonly subscriptions: SessionSubscriptions;
  #logLevel: string | undefined;
  #isClosed = false;
  #isWatching = false;

  constructor(options: SessionChannelsOptions) {
    this.#options = options;
    this.subscriptions = new SessionSubscriptions({
      ...options,
      channelOf: upstream => this.channelOf(upstream),
      holdsOf: upstream =>
        upstream.policy.sharing === 'shared' ? this.#shared(upstream).holds : this.#ownOf(upstream).holds,
      has: upstream => !this.#isClosed && (this.#own.has(upstream) || this.#joined.has(upstream)),
    });
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

  /** Takes up what the client had set up on another replica. Servers are told when they are opened. */
  restoreLogLevel(level: string | undefined): void {
    this.#logLevel = level;
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

  /** The server was removed from the configuration. */
  drop(upstream: Upstream): void {
    const own = this.#own.get(upstream);
    this.#own.delete(upstream);
    this.#joined.delete(upstream);
    this.subscriptions.forget(upstream);
    own?.channel.close().catch((error: unknown) => {
      this.#options.log.warn({ server: upstream.name, err: error }, 'server did not close');
    });
  }

  /** The same, and what was subscribed to there is at those in their place. */
  replace(removed: readonly Upstream[], find: (server: string) => Upstream | undefined): void {
    const lost = this.subscriptions.of(new Set(removed));
    for (const upstream of removed) this.drop(upstream);
    this.subscriptions.restore(find, lost);
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
      own = { channel, lists, holds: holdsIn(channel) };
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
