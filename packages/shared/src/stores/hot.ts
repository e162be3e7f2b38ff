/**
 * Short-lived state that replicas share: who owns a session, the last events of a stream, word of changes. It may be lost at any
 * time without harm to money or history.
 *
 * Time is the wall clock of the caller, in whole milliseconds: clocks of replicas must agree better than a lease is long, or a lease
 * changes hands early; the fence keeps even that harmless.
 *
 * A key may hold a `{tag}`: keys with the same tag live on one node of a Redis Cluster. A ring and the lease that guards it must
 * share one.
 *
 * Every method throws GatewayError overloaded with `hot_store_unavailable` when the store does not answer in time (a change may then
 * have been made or not), or with `hot_store_full`.
 */
export interface Hot {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, options: { readonly ttlMs: number }): Promise<void>;
  delete(key: string): Promise<void>;

  /**
   * Makes `owner` the holder of the lease if nobody else holds it. The fence rises with each new ownership, so that what an earlier
   * holder still has under way can be refused; also after the store lost everything, because it is never less than the time in
   * milliseconds. Asking again as its holder renews it under the same fence.
   */
  acquireLease(key: string, owner: string, ttlMs: number): Promise<{ readonly fence: number } | undefined>;
  /** False when the lease was lost: the caller must stop acting as its holder. */
  renewLease(key: string, owner: string, fence: number, ttlMs: number): Promise<boolean>;
  releaseLease(key: string, owner: string, fence: number): Promise<boolean>;

  /**
   * Appends to a ring that keeps the last `maxEvents`. Returns its sequence number, from 1 without gaps, or `fenced` when the lease
   * named is not held under that fence any more. A ring nobody appends to for `ttlMs` is gone, and begins at 1 again.
   */
  appendEvent(
    ring: string,
    event: string,
    options: {
      readonly maxEvents: number;
      readonly ttlMs: number;
      readonly lease?: { readonly key: string; readonly fence: number };
    },
  ): Promise<number | 'fenced'>;
  /** Events after `afterSeq`, oldest first. `oldestSeq` is the oldest one still kept, 0 when the ring is empty. */
  readEvents(
    ring: string,
    afterSeq: number,
    limit: number,
  ): Promise<{ readonly events: readonly RingEvent[]; readonly oldestSeq: number }>;

  /** At most once to whoever listens at the moment. */
  publish(channel: string, message: string): Promise<void>;
  /**
   * Calls `listener` (which must not throw) with every message from now on, and `onGap` whenever some may have been missed: then the
   * truth must be read anew. While the store is away this resolves all the same, and takes effect, with a gap, once it is back.
   */
  subscribe(
    channel: string,
    listener: (message: string) => void,
    options?: { readonly onGap?: () => void },
  ): Promise<() => Promise<void>>;

  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface RingEvent {
  readonly seq: number;
  readonly event: string;
}
