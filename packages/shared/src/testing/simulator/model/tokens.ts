import type { Conversation } from './conversation.ts';

/**
 * The simulator's tokenizer: a token is four UTF-16 code units, or five where four would cut a surrogate pair. Crude, but
 * anyone can count it by hand, and streams cut words in the middle as real ones do.
 */
const unitsPerToken = 4;
const surrogates = /[\ud800-\udbff]/;

export function countTokens(text: string): number {
  if (!surrogates.test(text)) return Math.ceil(text.length / unitsPerToken);
  return splitTokens(text).length;
}

/** The pieces in which a text is streamed; joined, they are the text. */
export function splitTokens(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = start + unitsPerToken;
    const last = text.charCodeAt(end - 1);
    if (last >= 0xd800 && last <= 0xdbff) end++;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

/** The beginning of `text` that is at most `maxTokens` long. */
export function truncateTokens(text: string, maxTokens: number): string {
  if (countTokens(text) <= maxTokens) return text;
  return splitTokens(text).slice(0, maxTokens).join('');
}

const tokensPerTurn = 3;
/** What an image, a document or a sound costs, whatever its size. */
export const tokensPerMedium = 85;

/** Tokens of the whole prompt: texts, tool calls and results, media, tool definitions, and 3 for each turn. */
export function countPrompt(conversation: Conversation): number {
  let tokens = countTokens(conversation.system);
  for (const turn of conversation.turns) {
    tokens += tokensPerTurn;
    if (turn.role === 'user') tokens += countTokens(turn.text) + turn.media * tokensPerMedium;
    else if (turn.role === 'assistant') {
      tokens += countTokens(turn.text);
      for (const call of turn.calls) tokens += countTokens(call.name) + countTokens(call.arguments);
    } else for (const result of turn.results) tokens += countTokens(result.text);
  }
  for (const tool of conversation.tools) {
    tokens += countTokens(tool.name) + countTokens(tool.description);
    if (tool.schema) tokens += countTokens(JSON.stringify(tool.schema));
  }
  if (conversation.format.type === 'schema')
    tokens += countTokens(JSON.stringify(conversation.format.schema));
  return tokens;
}
