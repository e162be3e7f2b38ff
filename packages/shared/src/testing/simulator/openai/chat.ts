import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionMessageToolCall,
} from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import {
  type ApiRequest,
  type Composed,
  type Desk,
  eventStreamHeaders,
  type Frame,
  jsonReply,
  type ModelEntry,
  type Reply,
  sseFrame,
} from '../http/protocol.ts';
import { type Block, piecesOf, type Usage } from '../model/compose-answer.ts';
import { countTokens } from '../model/tokens.ts';
import { chatConversation } from './chat-conversation.ts';
import { type ChatRequest, chatRequestSchema, checkChatRequest } from './chat-request.ts';
import { errorBody } from './errors.ts';
import { openaiHeaders } from './headers.ts';
import { modelOf, parseBody } from './parse.ts';

/** `POST /v1/chat/completions`. */
export function createChatCompletion(request: ApiRequest, desk: Desk): Reply {
  const body = parseBody(request.body, chatRequestSchema);
  checkChatRequest(body);
  const model = modelOf(body.model, desk, 'chat');
  const composed = desk.compose(chatConversation(body, model));
  const n = body.n ?? 1;
  const usage = {
    ...composed.usage,
    outputTokens: composed.usage.outputTokens * n,
    thinkingTokens: composed.usage.thinkingTokens * n,
  };
  const parts: Parts = {
    body,
    model,
    composed,
    choices: Array.from({ length: n }, (_, index) => ({ index, callIds: callIds(composed.blocks, desk) })),
    id: desk.ids.next('chatcmpl-', 29),
    created: Math.floor(desk.clock.now() / 1000),
    usage: composed.hidesUsage ? undefined : usageOf(usage),
  };
  const billing = { model: model.id, usage };
  const headers = { ...openaiHeaders(desk) };
  if (!body.stream) return jsonReply(wholeCompletion(parts), headers, { billing, fault: composed.fault });
  return {
    type: 'stream',
    headers: { ...eventStreamHeaders, ...headers },
    frames: chunkFrames(parts),
    billing,
    fault: composed.fault,
    errorFrame: error => `data: ${JSON.stringify({ error: errorBody(error) })}\n\n`,
    malformedFrame: `data: {"id":"${parts.id}","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"conte\n\n`,
  };
}

interface Parts {
  readonly body: ChatRequest;
  readonly model: ModelEntry;
  readonly composed: Composed;
  readonly choices: readonly { readonly index: number; readonly callIds: readonly string[] }[];
  readonly id: string;
  readonly created: number;
  readonly usage: CompletionUsage | undefined;
}

function callIds(blocks: readonly Block[], desk: Desk): string[] {
  return blocks.filter(block => block.type === 'call').map(() => desk.ids.next('call_', 24));
}

function usageOf(usage: Usage): CompletionUsage {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cacheReadTokens,
      cache_write_tokens: usage.cacheWriteTokens,
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.thinkingTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

const finishReasons = {
  stop: 'stop',
  'stop-sequence': 'stop',
  length: 'length',
  calls: 'tool_calls',
  refusal: 'stop',
  filter: 'content_filter',
} as const;

function serviceTier(body: ChatRequest): ChatCompletion['service_tier'] {
  return body.service_tier === 'auto' || body.service_tier == null ? 'default' : body.service_tier;
}

function textIn(parts: Parts, type: 'text' | 'refusal' | 'thinking'): string | null {
  const texts = parts.composed.blocks.flatMap(block => (block.type === type ? [block.text] : []));
  return texts.length === 0 ? null : texts.join('');
}

function wholeCompletion(parts: Parts): ChatCompletion {
  const { body, composed, model } = parts;
  const calls = composed.blocks.filter(block => block.type === 'call');
  const shownThinking = model.reasoning === 'shown' ? textIn(parts, 'thinking') : null;
  return {
    id: parts.id,
    object: 'chat.completion',
    created: parts.created,
    model: model.id,
    choices: parts.choices.map(({ index, callIds: ids }) => ({
      index,
      message: {
        role: 'assistant',
        content: textIn(parts, 'text'),
        ...(shownThinking === null ? {} : { reasoning_content: shownThinking }),
        ...(calls.length === 0
          ? {}
          : { tool_calls: calls.map((call, at) => wholeCall(call, ids[at] ?? '', body)) }),
        refusal: textIn(parts, 'refusal'),
        annotations: [],
      },
      logprobs: null,
      finish_reason: finishReasons[composed.finish],
    })),
    ...(parts.usage ? { usage: parts.usage } : {}),
    service_tier: serviceTier(body) ?? null,
  };
}

type Call = Extract<Block, { type: 'call' }>;

function isCustom(call: Call, body: ChatRequest): boolean {
  return body.tools?.some(tool => tool.type === 'custom' && tool.custom.name === call.name) ?? false;
}

function wholeCall(call: Call, id: string, body: ChatRequest): ChatCompletionMessageToolCall {
  if (isCustom(call, body)) return { id, type: 'custom', custom: { name: call.name, input: call.arguments } };
  return { id, type: 'function', function: { name: call.name, arguments: call.arguments } };
}

type Delta = ChatCompletionChunk.Choice.Delta & { reasoning_content?: string };

function* chunkFrames(parts: Parts): Iterable<Frame> {
  const { body } = parts;
  const includesUsage = body.stream_options?.include_usage === true;
  const base = {
    id: parts.id,
    object: 'chat.completion.chunk',
    created: parts.created,
    model: parts.model.id,
    service_tier: serviceTier(body) ?? null,
  };
  const head = JSON.stringify(base).slice(0, -1);
  const tail = includesUsage ? ',"usage":null}' : '}';
  const frame = (index: number, delta: Delta, more: { finish?: string; tokens?: number } = {}): Frame => {
    const finish = more.finish === undefined ? 'null' : `"${more.finish}"`;
    const choice = `{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":null,"finish_reason":${finish}}`;
    return sseFrame(`${head},"choices":[${choice}]${tail}`, { tokens: more.tokens ?? 0 });
  };
  for (const { index, callIds: ids } of parts.choices) {
    yield frame(index, {
      role: 'assistant',
      content: textIn(parts, 'text') === null ? null : '',
      refusal: null,
    });
    const tokens = yield* deltaFrames(parts, ids, (delta, brought) =>
      frame(index, delta, { tokens: brought }),
    );
    yield frame(index, {}, { finish: finishReasons[parts.composed.finish], tokens });
  }
  if (includesUsage && parts.usage)
    yield sseFrame(JSON.stringify({ ...base, choices: [], usage: parts.usage }));
  yield sseFrame('[DONE]');
}

/** Returns the tokens that no event brought. */
function* deltaFrames(
  parts: Parts,
  ids: readonly string[],
  frame: (delta: Delta, tokens: number) => Frame,
): Generator<Frame, number> {
  let callIndex = 0;
  // Tokens of reasoning that is not shown arrive with the next event.
  let hiddenTokens = 0;
  for (const block of parts.composed.blocks) {
    if (block.type === 'thinking' && parts.model.reasoning !== 'shown') {
      hiddenTokens += countTokens(block.text);
      continue;
    }
    if (block.type === 'call') {
      const index = callIndex++;
      yield frame(
        callStart(block, { index, id: ids[index] ?? '', body: parts.body }),
        countTokens(block.name) + hiddenTokens,
      );
      hiddenTokens = 0;
    }
    for (const piece of piecesOf(block)) {
      yield frame(pieceDelta(block, piece, { index: callIndex - 1, body: parts.body }), 1 + hiddenTokens);
      hiddenTokens = 0;
    }
  }
  return hiddenTokens;
}

function callStart(
  call: Call,
  { index, id, body }: { readonly index: number; readonly id: string; readonly body: ChatRequest },
): Delta {
  if (!isCustom(call, body))
    return { tool_calls: [{ index, id, type: 'function', function: { name: call.name, arguments: '' } }] };
  // The SDK's chunk type knows functions only; the API streams custom calls in the same place.
  return { tool_calls: [{ index, id, type: 'custom', custom: { name: call.name, input: '' } } as never] };
}

function pieceDelta(
  block: Block,
  piece: string,
  { index, body }: { readonly index: number; readonly body: ChatRequest },
): Delta {
  switch (block.type) {
    case 'text':
      return { content: piece };
    case 'refusal':
      return { refusal: piece };
    case 'thinking':
      return { reasoning_content: piece };
    case 'call':
      if (!isCustom(block, body)) return { tool_calls: [{ index, function: { arguments: piece } }] };
      return { tool_calls: [{ index, custom: { input: piece } } as never] };
  }
}
