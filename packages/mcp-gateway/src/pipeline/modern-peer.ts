import { createHash } from 'node:crypto';
import type { Clock } from '@strata/shared/clock.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { InFlightSet } from '@strata/shared/in-flight.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { type ClientHello, isObject } from '../domain/capabilities.ts';
import { type ListKind, listKinds } from '../domain/catalog.ts';
import type { Call } from '../domain/exchange.ts';
import type { NotificationFrame, RequestFrame } from '../domain/frame.ts';
import { modernVersion } from '../domain/protocol-versions.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { TaskIds } from '../domain/task-ids.ts';
import type { Channel, Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { textParam } from '../wire/frame.ts';
import type { ExposedNames } from '../wire/references.ts';
import { copySpan } from '../wire/render.ts';
import { namesFor, ownerOf, withNames } from './exposed-names.ts';
import type { JoinedLists } from './joined-lists.ts';
import { ListChanges } from './list-changes.ts';
import { moreVerbose } from './log-levels.ts';
import { ResourceHolds, type Told } from './resource-holds.ts';
import { refuse } from './reverse-requests.ts';
import type { ServerFacts } from './server-facts.ts';
import { SessionCatalog } from './session-catalog.ts';
import { SessionChannels } from './session-channels.ts';
import { toldBy } from './session-subscriptions.ts';
import { type SharedChannels, unsubscribe } from './shared-channels.ts';

export interface ModernWorld {
  readonly directoryOf: (route: string) => UpstreamDirectory;
  readonly facts: ServerFacts;
  readonly shared: SharedChannels;
  readonly joined: JoinedLists;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: () => GatewaySettings;
  readonly taskIds: TaskIds;
}

/** Somebody who listens to changes. */
export interface Listener {
  onListsChanged(kinds: ReadonlySet<ListKind>): void;
  onResourceUpdated(server: string, uri: string): void;
  onTask(server: string, frame: NotificationFrame): void;
  /** Servers are gone, or others have come in their place. */
  onServersGone(gone: ReadonlySet<Upstream>): void;
  /** The gateway stops: its client goes on listening at another. */
  onDraining(): void;
}

/** A call that runs here, and may carry what a server asks. */
export interface RunningCall {
  readonly call: Call;
  readonly canAsk: boolean;
  ask(call: Call, channel: Channel, frame: RequestFrame): void;
  /** A server takes its question back, or is gone with all of them. */
  forget(channel: Channel, serverId?: Buffer): void;
}

export interface HeldResource {
  readonly upstream: Upstream;
  readonly uri: string;
}

export interface PeerIdentity {
  readonly caller: Caller;
  readonly route: string;
  readonly capabilities: string;
  readonly clientInfo: string;
}

/**
 * What the requests of one principal with the same capabilities share: conversations with servers, and the lists read in
 * them. Nobody else uses them, because a server with sessions was told these capabilities, and answers this principal.
 * Nothing of it has to last: it is made anew when it is needed.
 */
export class ModernPeer {
  readonly tag: string;
  readonly principal: string;
  readonly hello: ClientHello;
  readonly channels: SessionChannels;
  readonly catalog: SessionCatalog;
  readonly runs = new InFlightSet<RunningCall>();
  readonly listeners = new Set<Listener>();
  readonly #world: ModernWorld;
  readonly #changes: ListChanges;
  readonly #tasks = new WeakMap<Upstream, Map<string, number>>();
  readonly #resources = new Map<Upstream, ResourceHolds<object>>();
  readonly #gone = new WeakSet<Upstream>();
  #logLevel: string | undefined;
  usedAtMs: number;

  constructor(key: string, identity: PeerIdentity, world: ModernWorld) {
    this.#world = world;
    this.tag = createHash('sha256').update(key).digest('hex').slice(0, 24);
    this.principal = ownerOf(identity.caller);
    this.usedAtMs = world.clock.monotonic();
    const clientInfo = objectOf(identity.clientInfo);
    this.hello = {
      protocolVersion: modernVersion,
      capabilities: objectOf(identity.capabilities),
      clientInfo: typeof clientInfo.name === 'string' ? clientInfo : { name: 'unnamed', version: '0' },
    };
    this.channels = new SessionChannels({
      hello: this.hello,
      shared: world.shared,
      facts: world.facts,
      log: world.log,
      clock: world.clock,
      events: this.#events(),
      maxSubscriptions: Infinity, // each listener has a limit of its own
    });
    this.catalog = new SessionCatalog({
      directory: world.directoryOf(identity.route),
      joined: world.joined,
      facts: world.facts,
      listsOf: upstream => this.channels.listsOf(upstream),
    });
    this.#changes = new ListChanges({
      ...world,
      tag: this.tag,
      catalog: () => this.catalog,
      tell: changed => {
        for (const listener of this.listeners) listener.onListsChanged(changed);
      },
    });
  }

  get isBusy(): boolean {
    return this.runs.size > 0 || this.listeners.size > 0;
  }

  namesOf(server: string): ExposedNames {
    const { catalog, principal: owner } = this;
    return namesFor({ catalog, owner, server, taskIds: this.#world.taskIds });
  }

  /** Servers with sessions have one level for all; what is more than a request asked for is left out on the way back. */
  async needLogLevel(level: string, signal: StopSignal): Promise<void> {
    const needed = moreVerbose(this.#logLevel, level);
    if (needed === this.#logLevel) return;
    this.#logLevel = needed;
    await this.channels.setLogLevel(needed, signal);
  }

  addListener(listener: Listener): { readonly heard: Promise<void>; stop(): void } {
    this.listeners.add(listener);
    return {
      /** Resolves when the servers tell their changes. */
      heard: this.channels.watchLists(true),
      stop: () => {
        this.listeners.delete(listener);
        if (this.listeners.size === 0) void this.channels.watchLists(false); // never rejects
      },
    };
  }

  /** The server's own name for a task of this principal. `undefined` for any other's. */
  taskOf(exposed: string): { readonly server: string; readonly taskId: string } | undefined {
    return this.#world.taskIds.resolve(this.principal, exposed);
  }

  /** Wants to hear of a resource; resolves with whether its server tells it. Never rejects. `holder`: for whom it is released again. */
  async holdResource({ upstream, uri }: HeldResource, holder: object): Promise<boolean> {
    if (this.#gone.has(upstream)) return false;
    const signal = AbortSignal.timeout(upstream.policy.callTimeoutMs);
    const ask = () => this.#subscribe({ upstream, uri }, signal);
    try {
      const told = await this.#holdsOf(upstream).hold(uri, holder, { ask, signal });
      return told?.isRefused !== true;
    } catch {
      return false; // the server does not do it: then it is not acknowledged
    }
  }

  /** What was held of a server that is gone is released already. */
  releaseResource({ upstream, uri }: HeldResource, holder: object): void {
    this.#resources
      .get(upstream)
      ?.drop(uri, holder)
      .catch(() => {}); // a server that is gone has forgotten it
  }

  #holdsOf(upstream: Upstream): ResourceHolds<object> {
    const known = this.#resources.get(upstream);
    const holds = known ?? new ResourceHolds<object>(uri => this.#takeBack(upstream, uri));
    this.#resources.set(upstream, holds);
    return holds;
  }

  async #takeBack(upstream: Upstream, uri: string): Promise<void> {
    if (this.#gone.has(upstream)) return;
    const ask = async (wasHeld: boolean) => {
      if (wasHeld) await unsubscribe(this.channels.channelOf(upstream), uri);
    };
    await this.channels.subscriptions.unsubscribe(upstream, uri, {
      ask,
      signal: new AbortController().signal,
    });
  }

  async #subscribe({ upstream, uri }: HeldResource, signal: StopSignal): Promise<Told> {
    const channel = this.channels.channelOf(upstream);
    const { capabilities } = await channel.ready(signal);
    const { resources } = capabilities;
    if (!isObject(resources) || resources.subscribe !== true) return { isRefused: true };
    const ask = () => toldBy(channel.ask('resources/subscribe', { uri }, signal));
    return (
      (await this.channels.subscriptions.subscribe(upstream, uri, { ask, signal })) ?? { isRefused: false }
    );
  }

  /** Wants to hear of a task; resolves with whether its server tells it. Never rejects. */
  async holdTask(upstream: Upstream, taskId: string): Promise<boolean> {
    if (this.#gone.has(upstream)) return false;
    const counts = this.#tasks.get(upstream) ?? new Map<string, number>();
    this.#tasks.set(upstream, counts.set(taskId, (counts.get(taskId) ?? 0) + 1));
    return this.channels.channelOf(upstream).watchTask(taskId, true);
  }

  /** The last asks the server; one that is gone tells nobody any more. */
  releaseTask(upstream: Upstream, taskId: string): void {
    const counts = this.#tasks.get(upstream);
    const count = (counts?.get(taskId) ?? 0) - 1;
    if (count > 0) counts?.set(taskId, count);
    else if (counts?.delete(taskId) && !this.#gone.has(upstream))
      void this.channels.channelOf(upstream).watchTask(taskId, false); // never rejects
  }

  onServersChanged(removed: readonly Upstream[]): void {
    const gone = new Set(removed);
    for (const listener of [...this.listeners]) listener.onServersGone(gone);
    for (const upstream of removed) {
      this.#gone.add(upstream);
      this.#resources.delete(upstream);
      this.channels.drop(upstream);
    }
    this.#changes.add(listKinds);
  }

  async close(): Promise<void> {
    this.#changes.cancel();
    await this.channels.close();
  }

  #events() {
    return {
      onListsChanged: (kinds: readonly ListKind[]) => {
        if (this.listeners.size > 0) this.#changes.add(kinds); // they were shown the lists when they began
      },
      onResourceUpdated: (upstream: Upstream, frame: NotificationFrame) => {
        const uri = textParam(frame, 'uri');
        if (uri === undefined) return;
        for (const listener of this.listeners) listener.onResourceUpdated(upstream.name, uri);
      },
      onTask: (upstream: Upstream, frame: NotificationFrame) => {
        const named = withNames(frame, this.namesOf(upstream.name));
        if (named) for (const listener of this.listeners) listener.onTask(upstream.name, named);
      },
      onSettingsChanged: () => {}, // nothing of a peer has to last
      onMessage: () => {}, // nobody can tell which request a line of a log belongs to
      onRequest: (channel: Channel, frame: RequestFrame) => this.#askAnybody(channel, frame),
      onCancelled: (channel: Channel, frame: NotificationFrame) => {
        const span = frame.params?.members?.get('requestId');
        if (span) for (const run of this.runs) run.forget(channel, copySpan(frame.bytes, span));
      },
      onLost: (channel: Channel) => {
        for (const run of this.runs) run.forget(channel);
      },
    };
  }

  /** All calls here are of one principal, so each may carry a question of which nobody knows the call. */
  #askAnybody(channel: Channel, frame: RequestFrame): void {
    const run = [...this.runs].find(each => each.canAsk);
    const named = withNames(frame, this.namesOf(channel.upstream.name));
    if (run && named) run.ask(run.call, channel, named);
    else channel.tell(refuse(copySpan(frame.bytes, frame.id), -32601, 'No call waits for the client.'));
  }
}

function objectOf(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(json);
  return isObject(value) ? value : {};
}
