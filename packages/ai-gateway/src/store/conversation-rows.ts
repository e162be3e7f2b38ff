import type {
  ConversationSchema,
  ConversationTransaction,
} from '@strata/shared/conversations/conversation-schema.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import {
  type ConversationItem,
  maxConversationBytes,
  maxConversationItems,
  type TurnEnd,
} from '../domain/conversation.ts';
import { conversationLocked } from '../domain/conversation-errors.ts';
import type { Owner } from '../domain/owner.ts';

export type ConversationRow = ConversationSchema['conversations'];

interface Times {
  readonly nowMs: number;
  readonly ttlMs: number;
}

/** The row, locked until the transaction ends. */
export function lockConversation(
  transaction: ConversationTransaction,
  { tenant, principal }: Owner,
  { id, nowMs }: { id: string; nowMs: number },
): Promise<ConversationRow | undefined> {
  return transaction
    .selectFrom('conversations')
    .selectAll()
    .where('tenant', '=', tenant)
    .where('principal', '=', principal)
    .where('id', '=', id)
    .where('expires_at_ms', '>', nowMs)
    .forUpdate()
    .executeTakeFirst();
}

export function updateConversation(
  transaction: ConversationTransaction,
  { tenant, principal, id }: ConversationRow,
  change: Partial<ConversationRow>,
) {
  return transaction
    .updateTable('conversations')
    .set(change)
    .where('tenant', '=', tenant)
    .where('principal', '=', principal)
    .where('id', '=', id)
    .execute();
}

/** Items behind those that are there. */
export async function insertItems(
  transaction: ConversationTransaction,
  row: ConversationRow,
  items: readonly ConversationItem[],
  { nowMs, ttlMs }: Times,
): Promise<void> {
  const rows = items.map((item, index) => ({
    tenant: row.tenant,
    principal: row.principal,
    conversation: row.id,
    position: row.next_position + index,
    id: item.id,
    item: JSON.stringify(item),
  }));
  let count = 0;
  let bytes = 0;
  for (const each of rows) {
    const inserted = await transaction
      .insertInto('conversation_items')
      .values(each)
      // An item that was sent again by its id stands where it stood.
      .onConflict(conflict => conflict.columns(['tenant', 'principal', 'conversation', 'id']).doNothing())
      .returning('id')
      .executeTakeFirst();
    if (inserted === undefined) continue;
    count++;
    bytes += Buffer.byteLength(each.item);
  }
  await updateConversation(transaction, row, {
    next_position: row.next_position + rows.length,
    item_count: row.item_count + count,
    item_bytes: row.item_bytes + bytes,
    expires_at_ms: nowMs + ttlMs,
  });
}

/** Nothing is added to a conversation that was deleted meanwhile, or whose turn was lost. */
export async function appendTurn(
  transaction: ConversationTransaction,
  owner: Owner,
  { conversation, holder, items }: TurnEnd,
  times: Times,
): Promise<void> {
  const row = await lockConversation(transaction, owner, { id: conversation, nowMs: times.nowMs });
  if (row === undefined || row.locked_by !== holder) return;
  await insertItems(transaction, row, items, times);
  await updateConversation(transaction, row, { locked_by: '', locked_until_ms: 0 });
}

/** @throws GatewayError too_large (`conversation_full`). */
export function requireRoom(
  row: Pick<ConversationRow, 'item_count' | 'item_bytes'>,
  items: readonly ConversationItem[],
): void {
  const bytes = row.item_bytes + Buffer.byteLength(JSON.stringify(items));
  if (row.item_count + items.length <= maxConversationItems && bytes <= maxConversationBytes) return;
  throw new GatewayError(
    'too_large',
    `A conversation holds at most ${maxConversationItems} items of ${maxConversationBytes} bytes in all.`,
    { reason: 'conversation_full', param: 'items' },
  );
}

/** @throws GatewayError invalid_request (`conversation_locked`). */
export function requireUnlocked(row: ConversationRow, nowMs: number): void {
  if (isLocked(row, nowMs)) throw conversationLocked();
}

export function isLocked(row: ConversationRow, nowMs: number): boolean {
  return row.locked_by !== '' && row.locked_until_ms > nowMs;
}
