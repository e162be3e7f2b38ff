import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { SessionBinding, SessionOwner, SessionStore, StoredSession } from '../domain/session-record.ts';
import type { LiveSession } from './live-session.ts';
import { isBoundTo, type SessionDirectory, sessionTag } from './session-directory.ts';

/** Where a session is. A foreign one is nowhere, like one that never was (M5). */
export type SessionPlace =
  | { readonly type: 'here'; readonly session: LiveSession }
  | { readonly type: 'elsewhere'; readonly owner: SessionOwner }
  | { readonly type: 'nowhere' };

export interface ReplicasOptions {
  readonly store: SessionStore;
  readonly sessions: SessionDirectory;
  readonly hot: Hot;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instance: string;
  readonly beatMs: number;
  /** How often what is still used is saved again, ms. */
  readonly againMs: () => number;
}

/** A replica that has not said for so many beats that it lives is taken for dead. */
const missedBeats = 3;
const livenessCacheMs = 500;
/** What a client of the first revision has said before it says anything. */
const firstHello = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: {} };
const noPlace: SessionPlace = { type: 'nowhere' };

/**
 * The replicas that share one hot store. A session has one owner; the others pass its requests on to it, and the first to find the owner
 * dead takes over: the fence keeps a replica that was only thought dead from speaking for the session (MCP-2, F67).
 */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #taking = new Map<string, Promise<SessionPlace>>();
  readonly #liveness = new Map<string, { readonly atMs: number; readonly isAlive: boolean }>();
  readonly #watchers = new Map<string, Set<() => void>>();
  /** Rises when this replica was silent for so long that others may have taken it for dead. */
  #doubts = 0;
  readonly #provenIn = new WeakMap<LiveSession, number>();
  #lastBeatMs: number;
  #timer: Scheduled | undefined;
  #unsubscribe: (() => Promise<void>) | undefined;

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#lastBeatMs = options.clock.monotonic();
  }

  async start(): Promise<void> {
    const { hot, instance, sessions } = this.#options;
    this.#unsubscribe = await hot.subscribe(channelOf(instance), tag => sessions.withTag(tag)?.fenced());
    await this.#beat();
  }

  /** `gone`: a replica that could not be reached just now, whatever it last said. */
  async locate(id: string, caller: Caller, route: string, gone?: SessionOwner): Promise<SessionPlace> {
    const { sessions, store } = this.#options;
    const tag = sessionTag(id);
    const underWay = this.#taking.get(tag);
    if (underWay) {
      await underWay.catch(() => {}); // whoever began it gets the error
      return this.locate(id, caller, route, gone);
    }
    const local = sessions.peek(id);
    if (local) {
      if (!isBoundTo(local.binding, caller, route)) return noPlace;
      if (await this.#isStillOwner(local)) return { type: 'here', session: local };
    }
    const stored = await store.read(tag);
    if (!stored || !isBoundTo(stored.record.binding, caller, route)) return noPlace;
    const { owner } = stored;
    const isTaken = this.#taking.has(tag) || sessions.peek(id) !== undefined; // while the record was read
    if (isTaken) return this.locate(id, caller, route, gone);
    if (owner.instance === this.#options.instance) return noPlace; // it ended here a moment ago
    const isGone = gone?.instance === owner.instance && gone.fence === owner.fence;
    if (!isGone && (await this.#isAlive(owner.instance))) return { type: 'elsewhere', owner };
    // Others may have begun while the liveness was asked for.
    if (this.#taking.has(tag)) return this.locate(id, caller, route, gone);
    const taking = this.#takeOver(id, tag, stored).finally(() => this.#taking.delete(tag));
    this.#taking.set(tag, taking);
    return taking;
  }

  /**
   * Says that a stream of the first revision is held here, so that its POSTs find it from any replica. It is owned like a session, but dies
   * with its owner. Returns how to take it back. @throws GatewayError overloaded
   */
  async announce(id: string, binding: SessionBinding): Promise<() => Promise<void>> {
    const { store, clock } = this.#options;
    const tag = sessionTag(id);
    const record = {
      binding,
      hello: firstHello,
      createdAtMs: clock.now(),
      logLevel: undefined,
      subscriptions: [],
    };
    const lease = await store.create(tag, record);
    let timer: Scheduled | undefined;
    const saveAgain = () => {
      timer = clock.schedule(this.#options.againMs(), () => {
        store.save(tag, record, lease).catch(() => {}); // without the store the stream is this replica's alone
        saveAgain();
      });
    };
    saveAgain();
    return () => {
      timer?.cancel();
      return store.end(tag, lease);
    };
  }

  /** The living replica that has announced this. A foreign one was never announced (M5). */
  async ownerOf(id: string, caller: Caller, route: string): Promise<SessionOwner | undefined> {
    const { store, instance } = this.#options;
    const stored = await store.read(sessionTag(id));
    if (!stored || !isBoundTo(stored.record.binding, caller, route)) return undefined;
    const { owner } = stored;
    return owner.instance !== instance && (await this.#isAlive(owner.instance)) ? owner : undefined;
  }

  /** Calls `onDead` once when the replica is taken for dead. Returns how to stop watching. */
  watch(instance: string, onDead: () => void): () => void {
    const watchers = this.#watchers.get(instance) ?? new Set();
    this.#watchers.set(instance, watchers.add(onDead));
    return () => {
      watchers.delete(onDead);
      if (watchers.size === 0) this.#watchers.delete(instance);
    };
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#unsubscribe?.();
  }

  async #takeOver(id: string, tag: string, stored: StoredSession): Promise<SessionPlace> {
    const { store, sessions, hot, log } = this.#options;
    const lease = await store.takeOver(tag, stored);
    if (!lease) return this.#afterLostRace(tag);
    const session = sessions.adopt({ id, tag, lease, takenOver: stored.record });
    await session.resume(stored.record);
    log.info({ session: tag, from: stored.owner.instance }, 'took over a session');
    await hot.publish(channelOf(stored.owner.instance), tag).catch(() => {}); // the fence says it again
    return { type: 'here', session };
  }

  async #afterLostRace(tag: string): Promise<SessionPlace> {
    const stored = await this.#options.store.read(tag);
    if (!stored) return noPlace;
    if (stored.owner.instance !== this.#options.instance) return { type: 'elsewhere', owner: stored.owner };
    throw new GatewayError('overloaded', 'The session is changing hands. Try again.', {
      reason: 'session_moving',
      retryAfterMs: 100,
    });
  }

  /** True at once, unless this replica was silent for so long that the session may be another's by now. */
  async #isStillOwner(session: LiveSession): Promise<boolean> {
    const { store, clock, beatMs, instance } = this.#options;
    const isSure = clock.monotonic() - this.#lastBeatMs < beatMs * missedBeats;
    if (!session.isShared || (isSure && (this.#provenIn.get(session) ?? 0) === this.#doubts)) return true;
    try {
      const stored = await store.read(session.tag);
      const isOwner = stored?.owner.instance === instance;
      if (!isOwner) session.fenced();
      else if (isSure) this.#provenIn.set(session, this.#doubts);
      return isOwner;
    } catch {
      return true; // without the store nobody can have taken it
    }
  }

  async #isAlive(instance: string): Promise<boolean> {
    const nowMs = this.#options.clock.monotonic();
    const known = this.#liveness.get(instance);
    if (known && nowMs - known.atMs < livenessCacheMs) return known.isAlive;
    const isAlive = await this.#options.store.isAlive(instance);
    this.#liveness.set(instance, { atMs: nowMs, isAlive });
    return isAlive;
  }

  async #beat(): Promise<void> {
    const { store, clock, beatMs, log } = this.#options;
    try {
      await store.beat(beatMs * missedBeats);
      const silentMs = clock.monotonic() - this.#lastBeatMs;
      if (silentMs >= beatMs * missedBeats) this.#doubts++;
      this.#lastBeatMs = clock.monotonic();
      await this.#lookAfterOthers();
    } catch (error) {
      log.debug({ err: error }, 'the other replicas could not be told that this one lives');
    } finally {
      this.#timer = clock.schedule(beatMs, () => void this.#beat());
    }
  }

  async #lookAfterOthers(): Promise<void> {
    for (const [instance, watchers] of [...this.#watchers]) {
      if (await this.#isAlive(instance)) continue;
      this.#watchers.delete(instance);
      for (const onDead of watchers) onDead();
    }
    for (const [instance, { atMs }] of this.#liveness) {
      if (this.#options.clock.monotonic() - atMs > 60_000) this.#liveness.delete(instance);
    }
  }
}

function channelOf(instance: string): string {
  return `mcp:moved:${instance}`;
}
