import type { ChatMessage } from './chat-message.ts';

/** A rough measure, on the high side for prose: four characters a token, and a few for the frame of each message. */
const charactersPerToken = 4;
const tokensPerMessage = 8;
/** Once it overflows it is cut well below the limit, so that the next turns keep the prefix that providers have cached. */
const targetShare = 0.6;
/** Tool results shorter than this are not worth cutting. */
const shortResult = 200;

export function estimateTokens(message: ChatMessage): number {
  const calls = message.role === 'assistant' ? JSON.stringify(message.tool_calls ?? []).length : 0;
  return tokensPerMessage + Math.ceil(((message.content ?? '').length + calls) / charactersPerToken);
}

export interface WindowLimits {
  readonly maxTokens: number;
  /** Messages at the beginning that are the task itself. */
  readonly openingLength: number;
  /** Tokens that it is cut down to when it has more than `maxTokens`. */
  readonly targetTokens?: number;
}

/**
 * Makes a conversation fit: first the oldest results of tools are cut to their length, then whole turns go, oldest first, and at last what
 * tools gave in the newest turn is cut to its beginning. The opening always stays. Pure, and whole turns only, so a result never stands
 * without its call.
 */
export function fitConversation(
  messages: readonly ChatMessage[],
  { maxTokens, openingLength, targetTokens: target = maxTokens * targetShare }: WindowLimits,
): readonly ChatMessage[] {
  let total = estimateAll(messages);
  if (total <= maxTokens) return messages;
  const opening = messages.slice(0, openingLength);
  const turns = turnsOf(messages.slice(openingLength));
  const newest = turns.pop() ?? [];
  for (const turn of turns) {
    for (const [index, message] of turn.entries()) {
      if (total <= target) break;
      const shorter = withoutResult(message);
      total += estimateTokens(shorter) - estimateTokens(message);
      turn[index] = shorter;
    }
  }
  let dropped = 0;
  while (total > target && turns.length > 0) {
    total -= estimateAll(turns.shift() ?? []);
    dropped++;
  }
  const note: ChatMessage[] =
    dropped === 0 ? [] : [{ role: 'user', content: `[${dropped} earlier turns were removed to save space]` }];
  return [...opening, ...note, ...turns.flat(), ...withShorterResults(newest, total - maxTokens)];
}

/** What the model has yet to read: of the longest results the beginning stays. */
function withShorterResults(turn: readonly ChatMessage[], excessTokens: number): readonly ChatMessage[] {
  const kept = [...turn];
  let excess = excessTokens * charactersPerToken;
  const longestFirst = [...turn.entries()].toSorted(
    ([, left], [, right]) => lengthOf(right) - lengthOf(left),
  );
  for (const [index, message] of longestFirst) {
    if (excess <= 0 || message.role !== 'tool' || message.content.length <= shortResult) continue;
    const { length } = message.content;
    const keep = Math.max(shortResult, Math.floor(length - excess - shortResult));
    kept[index] = { ...message, content: `${message.content.slice(0, keep)}\n[cut: ${length} characters]` };
    excess -= length - keep;
  }
  return kept;
}

const lengthOf = ({ content }: ChatMessage) => content?.length ?? 0;

/** A turn begins with what the model said; the results of its tools, and what it was told next, belong to it. */
function turnsOf(messages: readonly ChatMessage[]): ChatMessage[][] {
  const turns: ChatMessage[][] = [];
  for (const message of messages) {
    if (message.role === 'assistant' || turns.length === 0) turns.push([message]);
    else turns.at(-1)?.push(message);
  }
  return turns;
}

function withoutResult(message: ChatMessage): ChatMessage {
  if (message.role !== 'tool' || message.content.length <= shortResult) return message;
  return { ...message, content: `[removed to save space: ${message.content.length} characters]` };
}

export const estimateAll = (messages: readonly ChatMessage[]): number =>
  messages.reduce((total, message) => total + estimateTokens(message), 0);
