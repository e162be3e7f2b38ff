import type { JsonObject } from './json-object.ts';
import type { Owner } from './owner.ts';

/** Items that belong together, for as long as somebody goes on with them. */
export interface Conversation {
  readonly id: string;
  readonly createdAtMs: number;
  readonly metadata: JsonObject;
}

/** All the items of a conversation at one moment. */
export interface History {
  readonly items: readonly JsonObject[];
  /** Differs after every change. */
  readonly position: number;
}

/** An item as it is kept: it has an id. */
export type ConversationItem = JsonObject & { readonly id: string };

/** What one response adds to a conversation. */
export interface TurnEnd {
  readonly conversation: string;
  /** Who has the turn. */
  readonly holder: string;
  readonly items: readonly ConversationItem[];
}

export interface ItemPage {
  readonly after: string | undefined;
  readonly limit: number;
  readonly order: 'asc' | 'desc';
}

/** More is not kept: it could not be sent in one request either. */
export const maxConversationBytes = 32 * 1024 * 1024;
export const maxConversationItems = 10_000;

/** Where conversations are kept until nobody has used them for a while. Nobody but their owner gets at them (S-1). */
export interface ConversationStore {
  /** @throws GatewayError rate_limited (`conversations_full`), too_large (`conversation_full`). */
  create(
    owner: Owner,
    created: Conversation & { readonly items: readonly ConversationItem[] },
  ): Promise<void>;
  find(owner: Owner, id: string): Promise<Conversation | undefined>;
  /** Undefined when there is none. */
  update(owner: Owner, id: string, metadata: JsonObject): Promise<Conversation | undefined>;
  /** Whether there was one. */
  remove(owner: Owner, id: string): Promise<boolean>;
  history(owner: Owner, id: string): Promise<History | undefined>;
  /** All of them or none. False when there is no such conversation. @throws GatewayError `conversation_locked`, `conversation_full`. */
  append(owner: Owner, id: string, items: readonly ConversationItem[]): Promise<boolean>;
  item(owner: Owner, id: string, itemId: string): Promise<ConversationItem | undefined>;
  /** One more than `limit` when there are more. */
  list(owner: Owner, id: string, page: ItemPage): Promise<readonly ConversationItem[]>;
  /** Whether there was one. @throws GatewayError `conversation_locked`. */
  removeItem(owner: Owner, id: string, itemId: string): Promise<boolean>;
  /** Takes the turn until `untilMs`, when nobody else has it and nothing was changed since `position`. */
  beginTurn(
    owner: Owner,
    turn: { id: string; position: number; holder: string; untilMs: number },
  ): Promise<boolean>;
  renewTurn(owner: Owner, turn: { id: string; holder: string; untilMs: number }): Promise<void>;
  /** Adds what the response brought, and leaves the turn. Nothing is added when it was lost. */
  endTurn(owner: Owner, turn: TurnEnd): Promise<void>;
  /** Removes what nobody used for long enough. */
  sweep(): Promise<void>;
}
