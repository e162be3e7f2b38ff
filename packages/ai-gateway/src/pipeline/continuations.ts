import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { ConversationItem, ConversationStore } from '../domain/conversation.ts';
import { maxConversationBytes } from '../domain/conversation.ts';
import { conversationNotFound } from '../domain/conversation-errors.ts';
import type { JsonObject } from '../domain/json-object.ts';
import { notAnId } from '../domain/not-an-id.ts';
import type { Owner } from '../domain/owner.ts';
import { isUnderWay, type ResponseStore } from '../domain/stored-response.ts';
import { inputItems } from '../protocols/openai-responses/decode-request.ts';
import { asObject, asObjects, asString, parseObject } from '../protocols/read-json.ts';
import { conversationItems, requestItem } from './conversation-items.ts';

export interface ContinuationDeps {
  readonly responses: ResponseStore;
  readonly conversations: ConversationStore;
  readonly clock: Clock;
}

/** What a request asks of the gateway and no upstream is told. */
export interface Continuation {
  /** Members of the response that say what was asked for. */
  readonly restored: JsonObject;
  /** The conversation as it was when the request was read, and what the request adds to it. */
  readonly turn:
    | { readonly id: string; readonly position: number; readonly added: readonly ConversationItem[] }
    | undefined;
  /** Whether it is to be answered in the background. Then the request that is sent asks for a stream, whatever the client asked for. */
  readonly background: { readonly isStreamed: boolean } | undefined;
}

const none: Continuation = { restored: {}, turn: undefined, background: undefined };

/** By the body that is sent in place of the client's. */
const continuations = new WeakMap<Buffer, Continuation>();

export function continuationOf(body: Buffer): Continuation {
  return continuations.get(body) ?? none;
}

const members = ['"previous_response_id"', '"background"', '"conversation"'];

/**
 * The request with all that came before it, so that `previous_response_id` and `conversation` work with any upstream: none of them is
 * asked to remember anything.
 *
 * @throws GatewayError not_found (`previous_response_not_found`, `conversation_not_found`), invalid_request for what contradicts itself or is no id.
 */
export async function withHistory(deps: ContinuationDeps, owner: Owner, body: Buffer): Promise<Buffer> {
  if (!members.some(name => body.includes(name))) return body;
  const request = parseObject(body);
  if (request === undefined) return body; // refused with a better word where it is read
  const { previous_response_id: earlier, conversation: named, background, ...rest } = request;
  if (earlier == null && named == null && background !== true) return body;
  if (earlier != null && named != null) throw mutuallyExclusive();
  if (background === true && request.store === false) throw backgroundUnstored();
  const input = request.input == null && background !== true ? [] : inputItems(request.input);
  const before =
    named != null
      ? await ofConversation(deps, owner, { named, input })
      : earlier != null
        ? await ofResponse(deps, owner, earlier)
        : { items: [], restored: {}, turn: undefined };
  const sent = Buffer.from(
    JSON.stringify({
      ...rest,
      input: [...before.items, ...input],
      ...(background === true && { stream: true }),
    }),
  );
  if (background === true && sent.length > maxConversationBytes) throw tooLong();
  continuations.set(sent, {
    restored: { ...before.restored, ...(background === true && { background: true }) },
    turn: before.turn,
    background: background === true ? { isStreamed: request.stream === true } : undefined,
  });
  return sent;
}

interface Before extends Pick<Continuation, 'restored' | 'turn'> {
  readonly items: readonly JsonObject[];
}

async function ofResponse({ responses }: ContinuationDeps, owner: Owner, named: unknown): Promise<Before> {
  const id = asString(named);
  if (id === undefined) throw notAnId('previous_response_id', 'response');
  const earlier = await responses.find(owner, id);
  if (earlier === undefined) throw previousNotFound(id);
  if (isUnderWay(earlier.response)) throw previousUnfinished(id);
  const answered = asObjects(earlier.response.output).filter(isPortable);
  return {
    items: [...earlier.input, ...answered],
    restored: { previous_response_id: id },
    turn: undefined,
  };
}

async function ofConversation(
  { conversations, clock }: ContinuationDeps,
  owner: Owner,
  { named, input }: { named: unknown; input: readonly JsonObject[] },
): Promise<Before> {
  const id = asString(named) ?? asString(asObject(named)?.id);
  if (id === undefined) throw notAnId('conversation', 'conversation');
  const history = await conversations.history(owner, id);
  if (history === undefined) throw conversationNotFound(id, 'conversation');
  return {
    items: history.items.filter(isPortable).map(item => requestItem(item)),
    restored: { conversation: { id } },
    turn: { id, position: history.position, added: conversationItems(input, clock.now()) },
  };
}

/** Reasoning without its encrypted content is a reference to what only the answering account remembers. */
function isPortable(item: JsonObject): boolean {
  return item.type !== 'reasoning' || typeof item.encrypted_content === 'string';
}

function previousNotFound(id: string): GatewayError {
  return new GatewayError('not_found', `There is no previous response '${id.slice(0, 200)}' for this key.`, {
    reason: 'previous_response_not_found',
    param: 'previous_response_id',
  });
}

function previousUnfinished(id: string): GatewayError {
  return new GatewayError('invalid_request', `The response '${id}' is still being made. Wait for its end.`, {
    reason: 'previous_response_unfinished',
    param: 'previous_response_id',
  });
}

function mutuallyExclusive(): GatewayError {
  return new GatewayError(
    'invalid_request',
    "Mutually exclusive parameters: provide only one of 'previous_response_id' and 'conversation'.",
    { reason: 'mutually_exclusive_parameters', param: 'conversation' },
  );
}

function backgroundUnstored(): GatewayError {
  return new GatewayError(
    'invalid_request',
    "An answer in the background is kept: leave out 'store: false'.",
    {
      reason: 'background_unstored',
      param: 'store',
    },
  );
}

function tooLong(): GatewayError {
  return new GatewayError(
    'too_large',
    `With all that came before it, the request is larger than ${maxConversationBytes} bytes.`,
    { reason: 'body_too_large', param: 'input' },
  );
}
