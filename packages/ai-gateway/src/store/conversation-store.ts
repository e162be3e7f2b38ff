import type { ConversationTransaction } from '@strata/shared/conversations/conversation-schema.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Conversation, ConversationItem, ConversationStore } from '../domain/conversation.ts';
import type { JsonObject } from '../domain/json-object.ts';
import type { Owner } from '../domain/owner.ts';
import {
  appendTurn,
  type ConversationRow,
  insertItems,
  isLocked,
  lockConversation,
  requireRoom,
  requireUnlocked,
  updateConversation,
} from './conversation-rows.ts';
import type { ConversationStoreDeps } from './response-store.ts';

const sweptAtOnce = 100;

/** Conversations in the shared store, so that any replica can go on with them. */
export function createConversationStore(
  deps: ConversationStoreDeps & { maxConversations(): number },
): ConversationStore {
  const { sql, clock } = deps;
  const { db } = sql;
  const times = () => ({ nowMs: clock.now(), ttlMs: deps.ttlMs() });

  /** Work on a conversation that nobody else changes meanwhile. */
  function within<T>(
    owner: Owner,
    id: string,
    work: (transaction: ConversationTransaction, row: ConversationRow) => Promise<T>,
  ): Promise<T | undefined> {
    return db.transaction().execute(async transaction => {
      const row = await lockConversation(transaction, owner, { id, nowMs: clock.now() });
      return row && (await work(transaction, row));
    });
  }

  const itemsOf = ({ tenant, principal }: Owner, conversation: string) =>
    db
      .selectFrom('conversation_items')
      .select(['item', 'position'])
      .where('tenant', '=', tenant)
      .where('principal', '=', principal)
      .where('conversation', '=', conversation);

  async function find({ tenant, principal }: Owner, id: string): Promise<ConversationRow | undefined> {
    return db
      .selectFrom('conversations')
      .selectAll()
      .where('tenant', '=', tenant)
      .where('principal', '=', principal)
      .where('id', '=', id)
      .where('expires_at_ms', '>', clock.now())
      .executeTakeFirst();
  }

  return {
    async create({ tenant, principal }, { id, createdAtMs, metadata, items }) {
      const row: ConversationRow = {
        ...{ tenant, principal, id },
        created_at_ms: createdAtMs,
        expires_at_ms: createdAtMs + deps.ttlMs(),
        metadata: JSON.stringify(metadata),
        ...{ next_position: 0, item_count: 0, item_bytes: 0, locked_by: '', locked_until_ms: 0 },
      };
      requireRoom(row, items);
      await db.transaction().execute(async transaction => {
        const { count } = await transaction
          .selectFrom('conversations')
          .select(select => select.fn.countAll<number>().as('count'))
          .where('tenant', '=', tenant)
          .where('principal', '=', principal)
          .where('expires_at_ms', '>', createdAtMs)
          .executeTakeFirstOrThrow();
        if (count >= deps.maxConversations()) throw tooMany(deps.maxConversations());
        await transaction.insertInto('conversations').values(row).execute();
        await insertItems(transaction, row, items, times());
      });
    },
    async find(owner, id) {
      const row = await find(owner, id);
      return row && toConversation(row);
    },
    update: (owner, id, metadata) =>
      within(owner, id, async (transaction, row) => {
        const { nowMs, ttlMs } = times();
        const change = { metadata: JSON.stringify(metadata), expires_at_ms: nowMs + ttlMs };
        await updateConversation(transaction, row, change);
        return toConversation({ ...row, ...change });
      }),
    async remove(owner, id) {
      const removed = await within(owner, id, async (transaction, row) => {
        await removeRow(transaction, row);
        return true;
      });
      return removed ?? false;
    },
    async history(owner, id) {
      const row = await find(owner, id);
      if (row === undefined) return undefined;
      const rows = await itemsOf(owner, id)
        .where('position', '<', row.next_position)
        .orderBy('position')
        .execute();
      return { items: rows.map(toItem), position: row.next_position };
    },
    async append(owner, id, items) {
      const appended = await within(owner, id, async (transaction, row) => {
        requireUnlocked(row, clock.now());
        requireRoom(row, items);
        await insertItems(transaction, row, items, times());
        return true;
      });
      return appended ?? false;
    },
    async item(owner, id, itemId) {
      if ((await find(owner, id)) === undefined) return undefined;
      const row = await itemsOf(owner, id).where('id', '=', itemId).executeTakeFirst();
      return row && toItem(row);
    },
    async list(owner, id, { after, limit, order }) {
      let query = itemsOf(owner, id);
      if (after !== undefined) {
        const start = await query.where('id', '=', after).executeTakeFirst();
        if (start === undefined) return [];
        query = query.where('position', order === 'asc' ? '>' : '<', start.position);
      }
      const rows = await query
        .orderBy('position', order)
        .limit(limit + 1)
        .execute();
      return rows.map(toItem);
    },
    async removeItem(owner, id, itemId) {
      const removed = await within(owner, id, (transaction, row) => {
        requireUnlocked(row, clock.now());
        return removeItem(transaction, row, itemId);
      });
      return removed ?? false;
    },
    async beginTurn(owner, { id, position, holder, untilMs }) {
      const begun = await within(owner, id, async (transaction, row) => {
        if (isLocked(row, clock.now()) || row.next_position !== position) return false;
        await updateConversation(transaction, row, { locked_by: holder, locked_until_ms: untilMs });
        return true;
      });
      return begun ?? false;
    },
    async renewTurn({ tenant, principal }, { id, holder, untilMs }) {
      await db
        .updateTable('conversations')
        .set({ locked_until_ms: untilMs })
        .where('tenant', '=', tenant)
        .where('principal', '=', principal)
        .where('id', '=', id)
        .where('locked_by', '=', holder)
        .execute();
    },
    async endTurn(owner, turn) {
      await db.transaction().execute(transaction => appendTurn(transaction, owner, turn, times()));
    },
    async sweep() {
      const expired = await db
        .selectFrom('conversations')
        .selectAll()
        .where('expires_at_ms', '<=', clock.now())
        .limit(sweptAtOnce)
        .execute();
      for (const row of expired) {
        await db.transaction().execute(transaction => removeRow(transaction, row));
      }
      if (expired.length === sweptAtOnce) await this.sweep();
    },
  };
}

async function removeRow(transaction: ConversationTransaction, row: ConversationRow): Promise<void> {
  await transaction
    .deleteFrom('conversation_items')
    .where('tenant', '=', row.tenant)
    .where('principal', '=', row.principal)
    .where('conversation', '=', row.id)
    .execute();
  await transaction
    .deleteFrom('conversations')
    .where('tenant', '=', row.tenant)
    .where('principal', '=', row.principal)
    .where('id', '=', row.id)
    .execute();
}

async function removeItem(
  transaction: ConversationTransaction,
  row: ConversationRow,
  itemId: string,
): Promise<boolean> {
  const removed = await transaction
    .deleteFrom('conversation_items')
    .where('tenant', '=', row.tenant)
    .where('principal', '=', row.principal)
    .where('conversation', '=', row.id)
    .where('id', '=', itemId)
    .returning('item')
    .executeTakeFirst();
  if (removed === undefined) return false;
  await updateConversation(transaction, row, {
    next_position: row.next_position + 1, // a change, like any other
    item_count: row.item_count - 1,
    item_bytes: row.item_bytes - Buffer.byteLength(removed.item),
  });
  return true;
}

function toConversation(row: ConversationRow): Conversation {
  return {
    id: row.id,
    createdAtMs: row.created_at_ms,
    metadata: JSON.parse(row.metadata) as JsonObject, // as it was saved
  };
}

function toItem({ item }: { readonly item: string }): ConversationItem {
  return JSON.parse(item) as ConversationItem; // as it was saved
}

function tooMany(max: number): GatewayError {
  return new GatewayError(
    'rate_limited',
    `There are ${max} conversations already. Delete some, or let them expire.`,
    { reason: 'conversations_full' },
  );
}
