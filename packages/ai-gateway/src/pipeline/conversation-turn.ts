import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { ConversationStore, TurnEnd } from '../domain/conversation.ts';
import { conversationLocked } from '../domain/conversation-errors.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import { asObjects } from '../protocols/read-json.ts';
import type { Continuation } from './continuations.ts';
import { conversationItems } from './conversation-items.ts';

/** A process that dies gives its turns back this much later. */
const leaseMs = 12_000;
const renewEveryMs = 3000;

export interface TurnDeps {
  readonly conversations: ConversationStore;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One response at a time in a conversation: each knows what the one before it said. */
export interface ConversationTurn {
  /** What the conversation gets from the response, all at once. */
  end(response: JsonObject): TurnEnd;
  /** Leaves the turn if it was not ended. Safe to call again. */
  close(): void;
}

/** @throws GatewayError invalid_request (`conversation_locked`). */
export async function openTurn(
  { conversations, clock, log }: TurnDeps,
  owner: Owner,
  { id, position, added }: NonNullable<Continuation['turn']>,
): Promise<ConversationTurn> {
  const holder = newId('turn', clock.now());
  const until = () => clock.now() + leaseMs;
  if (!(await conversations.beginTurn(owner, { id, position, holder, untilMs: until() })))
    throw conversationLocked();
  const failed = (error: unknown) => log.warn({ err: error, conversation: id }, 'a turn could not be kept');
  let isClosed = false;
  let timer: Scheduled = clock.schedule(renewEveryMs, renew);

  function renew(): void {
    conversations
      .renewTurn(owner, { id, holder, untilMs: until() })
      .catch(failed)
      .finally(() => {
        if (!isClosed) timer = clock.schedule(renewEveryMs, renew);
      });
  }

  return {
    end: response => ({
      conversation: id,
      holder,
      items: [...added, ...conversationItems(asObjects(response.output), clock.now())],
    }),
    close() {
      if (isClosed) return;
      isClosed = true;
      timer.cancel();
      conversations.endTurn(owner, { conversation: id, holder, items: [] }).catch(failed);
    },
  };
}
