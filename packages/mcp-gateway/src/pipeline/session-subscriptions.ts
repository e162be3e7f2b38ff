import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ResponseFrame } from '../domain/frame.ts';
import type { Channel, Upstream } from '../domain/upstream.ts';
import type { ResourceHolds, Told } from './resource-holds.ts';
import type { Participant } from './shared-channels.ts';
import { tooManySubscriptions } from './subscription-limit.ts';

export interface SessionSubscriptionsOptions {
  readonly events: Participant & { onSettingsChanged(): void };
  readonly log: Logger;
  /** Resources at a time. */
  readonly maxSubscriptions: number;
  readonly channelOf: (upstream: Upstream) => Channel;
  readonly holdsOf: (upstream: Upstream) => ResourceHolds<Participant>;
  /** Not once the session or the server is gone: what comes of what was asked then comes too late. */
  readonly has: (upstream: Upstream) => boolean;
}

interface Subscription {
  readonly server: string;
  readonly uri: string;
}

/** The resources of which one session's client wants to hear. */
export class SessionSubscriptions {
  readonly #options: SessionSubscriptionsOptions;
  readonly #subscribed = new Map<Upstream, Set<string>>();
  /** Those that are not answered yet. */
  #asking = 0;

  constructor(options: SessionSubscriptionsOptions) {
    this.#options = options;
  }

  list(): Subscription[] {
    return this.of(new Set(this.#subscribed.keys()));
  }

  of(upstreams: ReadonlySet<Upstream>): Subscription[] {
    const some = [...this.#subscribed].filter(([upstream]) => upstreams.has(upstream));
    return some.flatMap(([{ name }, uris]) => [...uris].map(uri => ({ server: name, uri })));
  }

  /** Sets up what the client had set up on another replica, or with servers that were replaced: servers are opened for it now. */
  restore(find: (server: string) => Upstream | undefined, subscriptions: readonly Subscription[]): void {
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
    const channel = this.#options.channelOf(upstream);
    const holds = this.#options.holdsOf(upstream);
    if (upstream.policy.sharing === 'session') {
      holds.adopt(uri, events);
      await channel.ready(signal);
      return;
    }
    const ask = () => toldBy(channel.ask('resources/subscribe', { uri }, signal));
    try {
      const told = await holds.hold(uri, events, { ask, signal });
      if (told?.isRefused) this.#remember(upstream, uri, holds.isHeldBy(uri, events));
    } finally {
      if (!this.#options.has(upstream)) this.#drop(holds, uri);
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
    const holds = this.#options.holdsOf(upstream);
    if (!this.#subscribed.get(upstream)?.has(uri) && this.#asked() >= this.#options.maxSubscriptions)
      throw tooManySubscriptions('uri');
    this.#asking++;
    try {
      return await holds.hold(uri, events, asking);
    } finally {
      this.#asking--;
      if (!this.#options.has(upstream)) this.#drop(holds, uri);
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
    return this.#options.holdsOf(upstream).release(uri, this.#options.events, asking);
  }

  /** The server was removed from the configuration. */
  forget(upstream: Upstream): void {
    this.#subscribed.delete(upstream);
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
}

/** An answer as that of a server that was asked to tell. */
export async function toldBy(answer: Promise<ResponseFrame>): Promise<Told> {
  return { isRefused: (await answer).error !== undefined };
}
