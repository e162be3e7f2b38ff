import type { Clock } from '@strata/shared/clock.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ServerHello } from '../domain/capabilities.ts';
import { kindsOfChange, type ListKind, listKinds } from '../domain/catalog.ts';
import type { NotificationFrame, RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { Channel, ChannelOwner, Upstream } from '../domain/upstream.ts';
import { textParam } from '../wire/frame.ts';
import { copySpan } from '../wire/render.ts';
import { ChannelLists } from './channel-lists.ts';
import { gatewayHello } from './gateway-identity.ts';
import { ResourceHolds } from './resource-holds.ts';
import { refuse } from './reverse-requests.ts';
import type { ServerFacts } from './server-facts.ts';

/** A session as a shared conversation sees it. */
export interface Participant {
  /** `saidBy`: the server whose word it is; absent when its conversation was merely opened. */
  onListsChanged(kinds: readonly ListKind[], saidBy?: Upstream): void;
  onResourceUpdated(upstream: Upstream, frame: NotificationFrame): void;
}

/** One conversation that several sessions use. */
export interface SharedChannel {
  readonly channel: Channel;
  readonly lists: ChannelLists;
  join(participant: Participant): void;
  leave(participant: Participant): void;
  readonly holds: ResourceHolds<Participant>;
}

/**
 * The conversations with servers that are configured as shared. What a server sends to nobody in particular reaches only
 * sessions it concerns: list changes all of them, updates those that subscribed, log lines none, because nobody can tell
 * whose they are (S-1).
 */
export class SharedChannels {
  readonly #channels = new Map<Upstream, SharedChannel>();
  readonly #facts: ServerFacts;
  readonly #log: Logger;
  readonly #clock: Clock;

  constructor(facts: ServerFacts, log: Logger, clock: Clock) {
    this.#facts = facts;
    this.#log = log;
    this.#clock = clock;
  }

  of(upstream: Upstream): SharedChannel {
    let shared = this.#channels.get(upstream);
    if (!shared) {
      shared = createSharedChannel(upstream, this.#facts, this.#log, this.#clock);
      this.#channels.set(upstream, shared);
    }
    return shared;
  }

  /** Forgets a server that was removed. Its own `close` ends the conversation. */
  remove(upstream: Upstream): void {
    this.#channels.delete(upstream);
  }
}

function createSharedChannel(
  upstream: Upstream,
  facts: ServerFacts,
  log: Logger,
  clock: Clock,
): SharedChannel {
  const participants = new Set<Participant>();
  const tellAll = (kinds: readonly ListKind[], saidBy?: Upstream) => {
    for (const participant of participants) participant.onListsChanged(kinds, saidBy);
  };

  const owner: ChannelOwner = {
    onNotification(_channel: Channel, frame: NotificationFrame) {
      const kinds = kindsOfChange(frame.method);
      if (kinds.length > 0) {
        lists.invalidate(kinds);
        tellAll(kinds, upstream);
      } else if (frame.method === 'notifications/resources/updated') {
        const uri = textParam(frame, 'uri') ?? '';
        for (const participant of holds.holdersOf(uri)) participant.onResourceUpdated(upstream, frame);
      }
    },
    onRequest(channel: Channel, frame: RequestFrame) {
      channel.tell(refuse(copySpan(frame.bytes, frame.id), -32601, 'A shared server cannot ask clients.'));
    },
    onOpened(channel: Channel, hello: ServerHello) {
      facts.learn(upstream, hello);
      tellAll(listKinds);
      for (const uri of holds.confirmed()) {
        channel
          .ask('resources/subscribe', { uri }, AbortSignal.timeout(upstream.policy.callTimeoutMs))
          .catch(error => {
            log.warn({ server: upstream.name, err: error }, 'a subscription could not be renewed');
          });
      }
    },
    needs: () => holds.size > 0,
    onLost() {
      lists.invalidateAll();
    },
  };

  const channel = upstream.createChannel(gatewayHello, owner);
  void channel.watchLists(true); // never rejects
  const lists = new ChannelLists(channel, clock);
  const holds = holdsIn(channel);

  return {
    channel,
    lists,
    holds,
    join: participant => void participants.add(participant),
    leave(participant) {
      participants.delete(participant);
      holds.dropAll(participant).catch((error: unknown) => {
        log.debug({ server: upstream.name, err: error }, 'a subscription could not be ended');
      });
    },
  };
}

export function holdsIn(channel: Channel): ResourceHolds<Participant> {
  return new ResourceHolds(
    uri => unsubscribe(channel, uri),
    () => channel.isReady,
  );
}

/** In nobody's name, with a time limit of its own. @throws GatewayError */
export function unsubscribe(channel: Channel, uri: string): Promise<ResponseFrame> {
  const signal = AbortSignal.timeout(channel.upstream.policy.callTimeoutMs);
  return channel.ask('resources/unsubscribe', { uri }, signal);
}
