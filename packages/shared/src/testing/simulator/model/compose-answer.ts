import { type AnswerFormat, type Conversation, lastUserText, resultRounds } from './conversation.ts';
import { type Directives, parseDirectives } from './directives.ts';
import { instanceOf } from './schema-instance.ts';
import { countPrompt, countTokens, splitTokens, truncateTokens } from './tokens.ts';
import { nextCalls } from './tool-steps.ts';

export type Block =
  | { readonly type: 'thinking' | 'text' | 'refusal'; readonly text: string }
  | { readonly type: 'call'; readonly name: string; readonly arguments: string };

export type Finish = 'stop' | 'stop-sequence' | 'length' | 'calls' | 'refusal' | 'filter';

export interface Usage {
  /** All prompt tokens, cached or not. */
  readonly inputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly cacheTtl: '5m' | '1h';
  /** All generated tokens, thinking too. */
  readonly outputTokens: number;
  readonly thinkingTokens: number;
}

export interface Answer {
  readonly blocks: readonly Block[];
  readonly finish: Finish;
  readonly stopSequence: string | undefined;
  readonly usage: Usage;
  /** Faults that the prompt asks for, as written. */
  readonly faults: readonly string[];
}

export interface PromptCache {
  /** How many of the segments, from the first, were there already. All are afterwards. */
  touch(model: string, segments: readonly string[]): number;
}

/** The answer to a conversation: a pure function of it, but for what the prompt cache remembers. */
export function composeAnswer(conversation: Conversation, cache: PromptCache): Answer {
  const directives = directivesOf(conversation);
  const wanted = wantedBlocks(conversation, directives);
  const cut = limit(wanted.blocks, conversation);
  const finish: Finish = cut.finish ?? wanted.finish;
  const thinkingTokens = sumTokens(cut.blocks.filter(block => block.type === 'thinking'));
  return {
    blocks: cut.blocks,
    finish,
    stopSequence: cut.stopSequence,
    usage: {
      ...inputUsage(conversation, directives, cache),
      outputTokens: sumTokens(cut.blocks),
      thinkingTokens,
    },
    faults: directives.faults,
  };
}

/** The last user turn speaks; without directives there, the system prompt may. */
function directivesOf(conversation: Conversation): Directives {
  const fromUser = parseDirectives(lastUserText(conversation));
  if (fromUser.isScripted || !conversation.system.includes('[[')) return fromUser;
  return { ...parseDirectives(conversation.system), rest: fromUser.rest };
}

function wantedBlocks(
  conversation: Conversation,
  directives: Directives,
): { readonly blocks: Block[]; readonly finish: Finish } {
  const blocks: Block[] = [];
  if (conversation.canThink && (directives.think !== undefined || conversation.thinks)) {
    const text = directives.think ?? `The user wrote ${countTokens(directives.rest)} tokens. I answer them.`;
    blocks.push({ type: 'thinking', text });
  }
  if (directives.refuse !== undefined) {
    blocks.push({ type: 'refusal', text: directives.refuse });
    return { blocks, finish: 'refusal' };
  }
  const calls = nextCalls(conversation, directives);
  const isLastStep = resultRounds(conversation).length >= directives.steps.length - 1;
  const text = calls.length > 0 && !(directives.say && isLastStep) ? '' : textOf(conversation, directives);
  if (text !== '') blocks.push({ type: 'text', text });
  for (const call of calls) blocks.push({ type: 'call', ...call });
  if (directives.stop !== undefined) return { blocks, finish: directives.stop };
  return { blocks, finish: calls.length > 0 ? 'calls' : 'stop' };
}

const loremWords =
  'the gateway carries each word of this answer from the model to the client and counts what it costs on the way'.split(
    ' ',
  );

const maxQuotedChars = 4000;

function textOf(conversation: Conversation, directives: Directives): string {
  const results = resultRounds(conversation).at(-1) ?? [];
  const resultText = results.map(result => result.text).join('\n');
  if (directives.json !== undefined) return reformatted(directives.json);
  if (directives.say !== undefined) return directives.say.replaceAll('{{result}}', resultText);
  if (conversation.format.type !== 'text') return structured(conversation.format, directives.rest);
  if (directives.words !== undefined) return lorem(directives.words);
  if (results.length > 0) {
    const quoted = results.map(
      result => `${result.isError ? 'an error: ' : ''}"${result.text.trim().slice(0, maxQuotedChars)}"`,
    );
    return `The ${results.length === 1 ? 'tool' : 'tools'} answered: ${quoted.join(' and ')}.`;
  }
  const said = directives.rest.replace(/\s+/g, ' ').slice(0, maxQuotedChars);
  return said === '' ? 'Hello. You said nothing.' : `You said: ${said}`;
}

function lorem(count: number): string {
  return Array.from({ length: count }, (_, index) => loremWords[index % loremWords.length]).join(' ');
}

function structured(format: AnswerFormat, said: string): string {
  return JSON.stringify(format.type === 'schema' ? instanceOf(format.schema) : { answer: said });
}

function reformatted(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json));
  } catch {
    return json;
  }
}

interface Cut {
  readonly blocks: readonly Block[];
  readonly finish: Finish | undefined;
  readonly stopSequence: string | undefined;
}

/** Cuts the answer at the first stop sequence, and at the limit of tokens. A call that does not fit whole is left out. */
function limit(blocks: readonly Block[], conversation: Conversation): Cut {
  const kept: Block[] = [];
  let room = conversation.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  for (const block of blocks) {
    const stop = block.type === 'text' ? firstStop(block.text, conversation.stopSequences) : undefined;
    const whole = stop && block.type === 'text' ? { ...block, text: block.text.slice(0, stop.at) } : block;
    const tokens = tokensOf(whole);
    if (tokens > room) {
      if (whole.type !== 'call' && room > 0) kept.push({ ...whole, text: truncateTokens(whole.text, room) });
      return { blocks: kept, finish: 'length', stopSequence: undefined };
    }
    room -= tokens;
    kept.push(whole);
    if (stop) return { blocks: kept, finish: 'stop-sequence', stopSequence: stop.sequence };
  }
  return { blocks: kept, finish: undefined, stopSequence: undefined };
}

function firstStop(
  text: string,
  sequences: readonly string[],
): { readonly at: number; readonly sequence: string } | undefined {
  let first: { at: number; sequence: string } | undefined;
  for (const sequence of sequences) {
    const at = text.indexOf(sequence);
    if (at !== -1 && (first === undefined || at < first.at)) first = { at, sequence };
  }
  return first;
}

export function tokensOf(block: Block): number {
  if (block.type !== 'call') return countTokens(block.text);
  return countTokens(block.name) + countTokens(block.arguments);
}

/** The text or the arguments of a block in the pieces in which it is streamed. */
export function piecesOf(block: Block): string[] {
  return splitTokens(block.type === 'call' ? block.arguments : block.text);
}

function sumTokens(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => sum + tokensOf(block), 0);
}

/** Shorter prefixes than this are not cached, mark or not. */
export const minCachedTokens = 1024;

function inputUsage(conversation: Conversation, directives: Directives, cache: PromptCache) {
  const inputTokens = countPrompt(conversation);
  const mark = conversation.cache;
  const cacheTtl = mark?.ttl ?? '5m';
  if (directives.cachedTokens !== undefined || directives.cacheWriteTokens !== undefined) {
    const cacheReadTokens = Math.min(directives.cachedTokens ?? 0, inputTokens);
    const cacheWriteTokens = Math.min(directives.cacheWriteTokens ?? 0, inputTokens - cacheReadTokens);
    return { inputTokens, cacheReadTokens, cacheWriteTokens, cacheTtl };
  }
  const marked = Math.min(sumOf(mark?.segments ?? []), inputTokens);
  if (!mark || marked < minCachedTokens)
    return { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, cacheTtl };
  const known = cache.touch(conversation.model, mark.segments);
  const cacheReadTokens = Math.min(sumOf(mark.segments.slice(0, known)), marked);
  return { inputTokens, cacheReadTokens, cacheWriteTokens: marked - cacheReadTokens, cacheTtl };
}

function sumOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + countTokens(text), 0);
}
