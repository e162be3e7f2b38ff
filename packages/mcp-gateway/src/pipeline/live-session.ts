import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { InFlightSet } from '@strata/shared/in-flight.ts';
import type { Edit } from '@strata/shared/json/splice.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ClientHello } from '../domain/capabilities.ts';
import { changeOfKind, type ListKind, listKinds } from '../domain/catalog.ts';
import type { EventLog } from '../domain/event-log.ts';
import { type Call, failCall } from '../domain/exchange.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import { wantsPrimingEvent } from '../domain/protocol-versions.ts';
import type { SessionEnd, SessionState } from '../domain/session.ts';
import type { SessionBinding, SessionLease, SessionRecord, SessionStore } from '../domain/session-record.ts';
import type { GatewaySettings } from '../domain/settings.ts';
import type { TaskIds } from '../domain/task-ids.ts';
import type { Channel, Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import type { ExposedNames } from '../wire/references.ts';
import { onOneLine } from '../wire/splice.ts';
import type { ClientSide } from './client-side.ts';
import { namesFor, ownerOf } from './exposed-names.ts';
import type { JoinedLists } from './joined-lists.ts';
import { ListChanges } from './list-changes.ts';
import { legacyEdits } from './modern-results.ts';
import type { DispatchDeps } from './request.ts';
import { ReverseRequests } from './reverse-requests.ts';
import type { ServerFacts } from './server-facts.ts';
import { type SessionCall, whenAnswered } from './session-call.ts';
import { SessionCatalog } from './session-catalog.ts';
import { SessionChannels } from './session-channels.ts';
import { SessionKeeping } from './session-keeping.ts';
import { SessionLife } from './session-life.ts';
import { sessionNews } from './session-news.ts';
import { SessionReader } from './session-reader.ts';
import { ownerLost, SessionStreams } from './session-streams.ts';
import type { SharedChannels } from './shared-channels.ts';
import { maxSubscriptions } from './subscription-limit.ts';

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
  /** Where sessions are kept for other replicas; undefined when there are none. */
  readonly store: SessionStore | undefined;
  readonly taskIds: TaskIds;
  readonly policy: DispatchDeps['policy'];
  readonly onDropped: () => void;
}

/** How a session came to this replica. */
export interface SessionOrigin {
  readonly id: string;
  readonly tag: string;
  readonly binding: SessionBinding;
  readonly hello: ClientHello;
  /** In a session that other replicas may take over. */
  readonly lease: SessionLease | undefined;
  /** What the owner before this one has left. */
  readonly takenOver: SessionRecord | undefined;
}

/** For the answers to calls that end with their session. */
const answerWaitMs = 1000;

/** One client's session: its state, its streams, its calls, and its conversations with servers. */
export class LiveSession implements ClientSide {
  readonly era = 'legacy';
  readonly logLevel = undefined;
  readonly id: string;
  /** Stands for the session in logs, traces and keys: the id itself is a credential. */
  readonly tag: string;
  readonly binding: SessionBinding;
  readonly owner: string;
  readonly hello: ClientHello;
  readonly channels: SessionChannels;
  readonly catalog: SessionCatalog;
  readonly reader: SessionReader;
  readonly reverse: ReverseRequests;
  readonly streams: SessionStreams;
  readonly calls = new InFlightSet<SessionCall>();
  /** Whether its stream carries answers too, and cannot be gone on with (2024-11-05). */
  answersOnItsStream = false;
  readonly #world: SessionWorld;
  readonly #life: SessionLife;
  readonly #keeping: SessionKeeping;
  readonly #listChanges: ListChanges;

  constructor(origin: SessionOrigin, world: SessionWorld) {
    const { id, tag, binding, hello, lease, takenOver } = origin;
    this.id = id;
    this.tag = tag;
    this.binding = binding;
    this.owner = ownerOf(binding);
    this.hello = hello;
    this.#world = world;
    this.#life = new SessionLife({
      clock: world.clock,
      settings: world.settings,
      createdAtMs: takenOver?.createdAtMs,
    });
    this.reader = new SessionReader(world.policy);
    this.#keeping = new SessionKeeping({
      ...world,
      tag,
      lease,
      record: () => this.record(),
      isOpen: () => this.#life.isOpen,
      onFenced: () => this.fenced(),
    });
    this.#listChanges = new ListChanges({
      ...world,
      tag,
      catalog: () => this.catalog,
      tell: changed => this.#tellChanges(changed),
    });
    this.streams = new SessionStreams({
      tag,
      hot: world.hot,
      clock: world.clock,
      settings: world.settings,
      lease: () => this.#keeping.ownership(),
      takenOverAs: takenOver && lease?.fence,
      isShared: this.isShared,
      hasPriming: wantsPrimingEvent(hello.protocolVersion),
      onFenced: () => this.fenced(),
      onDropped: world.onDropped,
    });
    this.reverse = new ReverseRequests({
      clock: world.clock,
      timeoutMs: () => world.settings().inputTimeoutMs,
      capabilities: hello.capabilities,
      ownTaskId: exposed => world.taskIds.resolve(this.owner, exposed)?.taskId,
    });
    this.channels = new SessionChannels({
      hello,
      shared: world.shared,
      facts: world.facts,
      log: world.log,
      clock: world.clock,
      maxSubscriptions,
      events: sessionNews({
        session: this,
        onListsChanged: (kinds, saidBy) => this.#onListsChanged(kinds, saidBy),
        save: () => this.#save(),
      }),
    });
    void this.channels.watchLists(true); // never rejects
    this.catalog = new SessionCatalog({
      directory: world.directoryOf(binding.route),
      joined: world.joined,
      facts: world.facts,
      listsOf: upstream => this.channels.listsOf(upstream),
    });
  }

  get state(): SessionState {
    return this.#life.state;
  }

  /** Whether other replicas know the session. */
  get isShared(): boolean {
    return this.#keeping.isShared;
  }

  get isBusy(): boolean {
    return this.calls.size > 0 || this.standalone.isAttached;
  }

  /** The stream for messages that belong to no exchange. */
  get standalone(): EventLog {
    return this.streams.standalone;
  }

  /** The client spoke. */
  touch(): void {
    this.#life.touch();
  }

  /** Looks at the clock. Finished streams that nobody fetched in time are forgotten. */
  tick(): void {
    const atMs = this.#world.clock.monotonic();
    this.streams.tick(atMs);
    if (this.#life.tick(atMs, this.isBusy)) this.#save();
  }

  close(reason: SessionEnd): void {
    this.#life.close(reason);
  }

  /** Ends everything that hangs on the session. Call once, when its state is `closing`. */
  async drain(): Promise<void> {
    const error = this.#whyClosed();
    const running = [...this.calls];
    for (const call of running) failCall(call, error);
    this.#listChanges.cancel();
    this.reverse.close();
    await whenAnswered(running, this.#world.clock, answerWaitMs);
    this.standalone.finish();
    await this.channels.close();
    await this.streams.stored(); // what is appended after it was given up is nobody's
    await this.#keeping.giveUp(this.#life.endReason).catch((error: unknown) => {
      this.#world.log.debug({ session: this.tag, err: error }, 'the session could not be given up');
    });
    this.#life.drained();
  }

  /** Another replica is the owner now. */
  fenced(): void {
    if (!this.#life.isOpen) return;
    this.#world.log.warn({ session: this.tag }, 'the session belongs to another gateway now');
    this.close('fenced');
  }

  /** Goes on where the last owner stopped: streams, log level, subscriptions. */
  async resume({ logLevel, subscriptions }: SessionRecord): Promise<void> {
    await this.streams.resume();
    const directory = this.#world.directoryOf(this.binding.route);
    for (const { server, uri, exposed } of subscriptions) this.catalog.routes.restore(server, uri, exposed);
    this.channels.restoreLogLevel(logLevel);
    this.channels.subscriptions.restore(server => directory.get(server), subscriptions);
  }

  #save(): void {
    this.#life.saved();
    this.#keeping.save();
  }

  record(): SessionRecord {
    return {
      binding: this.binding,
      hello: this.hello,
      createdAtMs: this.#life.createdAtMs,
      logLevel: this.channels.logLevel,
      subscriptions: this.channels.subscriptions
        .list()
        .map(each => ({ ...each, exposed: this.catalog.routes.expose(each.server, each.uri) })),
    };
  }

  #whyClosed(): GatewayError {
    if (this.#life.endReason === 'fenced') return ownerLost();
    return new GatewayError('cancelled', 'The session was closed.', { reason: 'session_closed' });
  }

  /** Sends a message on the stream of the call it belongs to, else on the session's own. */
  sendFor(call: Call | undefined, message: Buffer, mayBeLost: boolean): void {
    const line = onOneLine(message);
    if (call?.exchange.canCarryMessages && call.exchange.emit(line, mayBeLost)) return;
    this.standalone.append(line.toString(), mayBeLost);
  }

  namesOf(server: string): ExposedNames {
    const { catalog, owner } = this;
    return namesFor({ catalog, owner, server, taskIds: this.#world.taskIds });
  }

  wants(): boolean {
    return true;
  }

  requestEdits(): [] {
    return [];
  }

  answerEdits(_method: string, _server: string, answer: ResponseFrame): Edit[] {
    return legacyEdits(answer);
  }

  ask(call: Call, channel: Channel, frame: RequestFrame): void {
    this.reverse.ask(channel, frame, bytes => this.sendFor(call, bytes, false));
  }

  /** Servers were added, removed or changed in the configuration. */
  onServersChanged(removed: readonly Upstream[]): void {
    const directory = this.#world.directoryOf(this.binding.route);
    this.channels.replace(removed, server => {
      const upstream = this.#life.isOpen ? directory.get(server) : undefined;
      return upstream && this.reader.may(upstream, 'resources/subscribe') ? upstream : undefined;
    });
    this.#onListsChanged(listKinds);
  }

  #onListsChanged(kinds: readonly ListKind[], saidBy?: Upstream): void {
    if (this.#life.isOpen) this.#listChanges.add(kinds, saidBy);
  }

  #tellChanges(changed: ReadonlySet<ListKind>): void {
    if (!this.#life.isOpen) return;
    for (const method of new Set([...changed].map(changeOfKind)))
      this.standalone.append(JSON.stringify({ jsonrpc: '2.0', method }));
  }
}
