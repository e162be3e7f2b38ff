import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newId } from '@strata/shared/ids.ts';
import type { ConversationItem } from '../domain/conversation.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { asObject, asString } from '../protocols/read-json.ts';

const prefixes = new Map([
  ['message', 'msg'],
  ['reasoning', 'rs'],
  ['function_call', 'fc'],
  ['function_call_output', 'fco'],
  ['custom_tool_call', 'ctc'],
  ['custom_tool_call_output', 'ctco'],
]);

/** Items as a conversation keeps them: each with its type, an id, and content in parts. */
export function conversationItems(items: readonly JsonObject[], nowMs: number): ConversationItem[] {
  return items.map(item => {
    const role = asString(item.role);
    const type = asString(item.type) ?? 'message';
    const id = asString(item.id) || newId(prefixes.get(type) ?? 'item', nowMs);
    const status = prefixes.has(type) && type !== 'reasoning' ? { status: 'completed' } : {};
    const { content } = item;
    if (typeof content !== 'string') return { ...status, ...item, type, id };
    const isAnswer = role === 'assistant';
    const part = {
      type: isAnswer ? 'output_text' : 'input_text',
      text: content,
      ...(isAnswer && { annotations: [] }),
    };
    return { ...status, ...item, type, id, content: [part] };
  });
}

/** What a request may say of an item: ids and states of what a client said mean nothing to whoever has not kept it. */
export function requestItem(item: JsonObject): JsonObject {
  const isResult = (asString(item.type) ?? '').endsWith('_output');
  const isOwn = item.role === undefined ? isResult : item.role !== 'assistant';
  if (!isOwn) return item;
  const { id: _id, status: _status, ...said } = item;
  return said;
}

const maxItems = 20;

/**
 * The member `items` of a request to the Conversations API.
 *
 * @throws GatewayError invalid_request (`conversation_items_invalid`).
 */
export function readItems(items: unknown, options: { readonly isRequired: boolean }): JsonObject[] {
  if (items == null && !options.isRequired) return [];
  if (!Array.isArray(items) || items.length > maxItems || (options.isRequired && items.length === 0)) {
    throw itemsInvalid(`\`items\` must be a list of 1 to ${maxItems} items.`, 'items');
  }
  return items.map((item, index) => {
    const read = asObject(item);
    const isItem = read !== undefined && (typeof read.type === 'string' || typeof read.role === 'string');
    if (!isItem)
      throw itemsInvalid('An item must be an object with a `type` or a `role`.', `items[${index}]`);
    return read;
  });
}

function itemsInvalid(message: string, param: string): GatewayError {
  return new GatewayError('invalid_request', message, { reason: 'conversation_items_invalid', param });
}

const maxPairs = 16;
const maxKeyLength = 64;
const maxValueLength = 512;

/** The member `metadata`. @throws GatewayError invalid_request (`metadata_invalid`). */
export function readMetadata(metadata: unknown): JsonObject {
  if (metadata == null) return {};
  const read = asObject(metadata);
  const pairs = Object.entries(read ?? {});
  const isValid =
    read !== undefined &&
    pairs.length <= maxPairs &&
    pairs.every(
      ([key, value]) =>
        key.length <= maxKeyLength && typeof value === 'string' && value.length <= maxValueLength,
    );
  if (isValid) return read;
  throw new GatewayError(
    'invalid_request',
    `\`metadata\` must be an object of at most ${maxPairs} texts, keys of ${maxKeyLength} characters and values of ${maxValueLength}.`,
    { reason: 'metadata_invalid', param: 'metadata' },
  );
}
