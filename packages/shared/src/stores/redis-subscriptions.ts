import type { Redis } from 'ioredis';
import type { Clock, Scheduled } from '../clock.ts';

interface Subscription {
  readonly listener: (message: string) => void;
  readonly onGap: (() => void) | undefined;
}

const heartbeatMs = 5000;

/**
 * Subscriptions over a connection of their own, which must not carry other commands. What is subscribed to is remembered here, so that
 * it is asked for again on every new connection; whoever listens is told that it may have missed something.
 */
export class RedisSubscriptions {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #byChannel = new Map<string, Set<Subscription>>();
  #heartbeat: Scheduled;

  constructor(redis: Redis, clock: Clock) {
    this.#redis = redis;
    this.#clock = clock;
    redis.on('message', (channel: string, message: string) => this.#deliver(channel, message));
    redis.on('ready', () => this.#restore());
    this.#heartbeat = clock.schedule(heartbeatMs, () => this.#beat());
  }

  async add(channel: string, subscription: Subscription): Promise<() => Promise<void>> {
    const own = { ...subscription }; // the same one may be added twice
    const together = this.#byChannel.get(channel) ?? new Set();
    this.#byChannel.set(channel, together.add(own));
    if (!(await this.#subscribe(channel))) own.onGap?.();
    return async () => {
      together.delete(own);
      if (together.size > 0 || this.#byChannel.get(channel) !== together) return;
      this.#byChannel.delete(channel);
      await this.#redis.unsubscribe(channel).catch(() => {}); // without a connection there is nothing to end
    };
  }

  close(): void {
    this.#heartbeat.cancel();
    this.#byChannel.clear();
    this.#redis.disconnect();
  }

  /** False when there is no connection: then the next one asks again. */
  async #subscribe(channel: string): Promise<boolean> {
    if (this.#redis.status !== 'ready') return false;
    return this.#redis.subscribe(channel).then(
      () => true,
      () => false,
    );
  }

  async #restore(): Promise<void> {
    for (const [channel, together] of [...this.#byChannel]) {
      if (await this.#subscribe(channel)) for (const { onGap } of [...together]) onGap?.();
    }
  }

  /** In turns of their own, so that a listener that fails is an error of its own and takes no message from the others. */
  #deliver(channel: string, message: string): void {
    const together = this.#byChannel.get(channel);
    for (const subscription of together ?? []) {
      queueMicrotask(() => together?.has(subscription) && subscription.listener(message));
    }
  }

  /** A subscriber only listens: it learns of a connection lost without a word only by asking. The client gives up a silent one. */
  #beat(): void {
    if (this.#redis.status === 'ready') this.#redis.ping().catch(() => {}); // the end of the connection is what matters, and is noticed
    this.#heartbeat = this.#clock.schedule(heartbeatMs, () => this.#beat());
  }
}
