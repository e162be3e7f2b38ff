import type {
  Message,
  RawMessageStreamEvent,
  Usage as WireUsage,
} from '@anthropic-ai/sdk/resources/messages';
import type { Composed } from '../http/protocol.ts';
import { type Block, piecesOf, tokensOf, type Usage } from '../model/compose-answer.ts';
import { isObject } from '../model/schema-instance.ts';
import { signatureOf } from '../model/signature.ts';
import { countTokens } from '../model/tokens.ts';

/** What an answer is rendered from, whole or as events. */
export interface MessageParts {
  readonly id: string;
  readonly model: string;
  readonly composed: Composed;
  readonly toolIds: readonly string[];
  /** Whether thinking is left out, all but its signature. */
  readonly omitsThinking: boolean;
}

export interface StreamEvent {
  readonly event: RawMessageStreamEvent | { readonly type: 'ping' };
  readonly tokens: number;
}

const stopReasons = {
  stop: 'end_turn',
  'stop-sequence': 'stop_sequence',
  length: 'max_tokens',
  calls: 'tool_use',
  refusal: 'refusal',
  filter: 'refusal',
} as const;

export function wholeMessage(parts: MessageParts): Message {
  const { composed } = parts;
  return {
    ...emptyMessage(parts),
    content: contentOf(parts),
    stop_reason: stopReasons[composed.finish],
    stop_sequence: composed.stopSequence ?? null,
    usage: usageOf(parts, composed.usage.outputTokens),
  };
}

function emptyMessage(parts: MessageParts): Message {
  return {
    id: parts.id,
    type: 'message',
    role: 'assistant',
    model: parts.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: usageOf(parts, 1),
  };
}

function contentOf(parts: MessageParts): Message['content'] {
  let calls = 0;
  return parts.composed.blocks.map(block => wholeBlock(block, parts, block.type === 'call' ? calls++ : 0));
}

function wholeBlock(block: Block, parts: MessageParts, callIndex: number): Message['content'][number] {
  switch (block.type) {
    case 'thinking':
      return {
        type: 'thinking',
        thinking: parts.omitsThinking ? '' : block.text,
        signature: signatureOf(block.text),
      };
    case 'text':
    case 'refusal':
      return { type: 'text', text: block.text, citations: null };
    case 'call':
      return {
        type: 'tool_use',
        id: parts.toolIds[callIndex] ?? '',
        name: block.name,
        input: inputOf(block.arguments),
        caller: { type: 'direct' },
      };
  }
}

/** Arguments on this wire are an object; a call whose arguments are none has an empty one. */
export function inputOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function usageOf({ composed }: MessageParts, outputTokens: number): WireUsage {
  if (composed.hidesUsage) return {} as WireUsage; // What the fault is for.
  const { usage } = composed;
  return {
    input_tokens: uncachedOf(usage),
    cache_creation_input_tokens: usage.cacheWriteTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheTtl === '5m' ? usage.cacheWriteTokens : 0,
      ephemeral_1h_input_tokens: usage.cacheTtl === '1h' ? usage.cacheWriteTokens : 0,
    },
    output_tokens: outputTokens,
    output_tokens_details: { thinking_tokens: Math.min(usage.thinkingTokens, outputTokens) },
    service_tier: 'standard',
    server_tool_use: null,
    speed: null,
    inference_geo: null,
  };
}

export function uncachedOf(usage: Usage): number {
  return usage.inputTokens - usage.cacheReadTokens - usage.cacheWriteTokens;
}

/** The events of a stream that adds up to `wholeMessage`. */
export function* messageEvents(parts: MessageParts): Iterable<StreamEvent> {
  const { composed } = parts;
  yield { event: { type: 'message_start', message: emptyMessage(parts) }, tokens: 0 };
  const content = contentOf(parts);
  for (const [index, block] of composed.blocks.entries()) {
    const whole = content[index];
    if (!whole) continue;
    yield { event: { type: 'content_block_start', index, content_block: emptied(whole) }, tokens: 0 };
    if (index === 0) yield { event: { type: 'ping' }, tokens: 0 };
    yield* deltaEvents(block, index, parts);
    yield { event: { type: 'content_block_stop', index }, tokens: 0 };
  }
  const usage = usageOf(parts, composed.usage.outputTokens);
  yield {
    event: {
      type: 'message_delta',
      delta: {
        stop_reason: stopReasons[composed.finish],
        stop_sequence: composed.stopSequence ?? null,
        stop_details: null,
        container: null,
      },
      usage: {
        input_tokens: usage.input_tokens,
        cache_creation_input_tokens: usage.cache_creation_input_tokens,
        cache_read_input_tokens: usage.cache_read_input_tokens,
        output_tokens: usage.output_tokens,
        output_tokens_details: usage.output_tokens_details,
        server_tool_use: null,
      },
    },
    tokens: 0,
  };
  yield { event: { type: 'message_stop' }, tokens: 0 };
}

function emptied(block: Message['content'][number]): Message['content'][number] {
  if (block.type === 'thinking') return { ...block, thinking: '', signature: '' };
  if (block.type === 'text') return { ...block, text: '' };
  return block.type === 'tool_use' ? { ...block, input: {} } : block;
}

type Delta = Extract<RawMessageStreamEvent, { type: 'content_block_delta' }>['delta'];

function* deltaEvents(block: Block, index: number, parts: MessageParts): Iterable<StreamEvent> {
  const event = (delta: Delta, tokens: number): StreamEvent => ({
    event: { type: 'content_block_delta', index, delta },
    tokens,
  });
  if (block.type === 'thinking') {
    if (!parts.omitsThinking)
      for (const piece of piecesOf(block)) yield event({ type: 'thinking_delta', thinking: piece }, 1);
    const omittedTokens = parts.omitsThinking ? tokensOf(block) : 0;
    yield event({ type: 'signature_delta', signature: signatureOf(block.text) }, omittedTokens);
    return;
  }
  if (block.type === 'call') {
    yield event({ type: 'input_json_delta', partial_json: '' }, countTokens(block.name));
    const pieces = block.arguments === '{}' ? [] : piecesOf(block);
    const silentTokens = tokensOf(block) - countTokens(block.name) - pieces.length;
    for (const piece of pieces) yield event({ type: 'input_json_delta', partial_json: piece }, 1);
    if (silentTokens > 0) yield event({ type: 'input_json_delta', partial_json: '' }, silentTokens);
    return;
  }
  for (const piece of piecesOf(block)) yield event({ type: 'text_delta', text: piece }, 1);
}
