import { inputOf, uncachedOf } from '../anthropic/messages-answer.ts';
import {
  type ApiRequest,
  type Composed,
  type Desk,
  type Frame,
  jsonReply,
  type StreamReply,
  type WholeReply,
} from '../http/protocol.ts';
import { type Block, piecesOf, tokensOf } from '../model/compose-answer.ts';
import { signatureOf } from '../model/signature.ts';
import { countTokens } from '../model/tokens.ts';
import { converseConversation } from './converse-conversation.ts';
import { checkConverse, parseConverse } from './converse-request.ts';
import { bedrockHeaders, modelOf } from './errors.ts';
import { brokenFrame, eventFrame, eventStreamType, exceptionFrame } from './event-stream.ts';

interface Parts {
  readonly composed: Composed;
  readonly toolIds: readonly string[];
}

const stopReasons = {
  stop: 'end_turn',
  'stop-sequence': 'stop_sequence',
  length: 'max_tokens',
  calls: 'tool_use',
  refusal: 'content_filtered',
  filter: 'guardrail_intervened',
} as const;

/** `POST /model/{id}/converse`. */
export function converse(request: ApiRequest, desk: Desk): WholeReply {
  const { parts, billing } = compose(request, desk);
  const { composed } = parts;
  const answer = {
    output: { message: { role: 'assistant', content: contentOf(parts) } },
    stopReason: stopReasons[composed.finish],
    ...(composed.hidesUsage ? {} : { usage: usageOf(composed) }),
    metrics: { latencyMs: 1 },
  };
  return jsonReply(answer, bedrockHeaders(desk), { billing, fault: composed.fault });
}

/** `POST /model/{id}/converse-stream`. */
export function converseStream(request: ApiRequest, desk: Desk): StreamReply {
  const { parts, billing } = compose(request, desk);
  return {
    type: 'stream',
    headers: { 'content-type': eventStreamType, ...bedrockHeaders(desk) },
    frames: eventFrames(parts),
    billing,
    fault: parts.composed.fault,
    errorFrame: exceptionFrame,
    malformedFrame: brokenFrame(),
  };
}

function compose(request: ApiRequest, desk: Desk) {
  const model = modelOf(request.captured[0] ?? '', desk);
  const body = parseConverse(request.body);
  checkConverse(body);
  const composed = desk.compose(converseConversation(body, model));
  const calls = composed.blocks.filter(block => block.type === 'call');
  const parts: Parts = { composed, toolIds: calls.map(() => desk.ids.next('tooluse_', 22)) };
  return { parts, billing: { model: model.id, usage: composed.usage } };
}

function contentOf(parts: Parts): object[] {
  let calls = 0;
  return parts.composed.blocks.map(block => {
    if (block.type === 'thinking')
      return {
        reasoningContent: { reasoningText: { text: block.text, signature: signatureOf(block.text) } },
      };
    if (block.type !== 'call') return { text: block.text };
    const toolUseId = parts.toolIds[calls++];
    return { toolUse: { toolUseId, name: block.name, input: inputOf(block.arguments) } };
  });
}

function usageOf({ usage }: Composed): object {
  return {
    inputTokens: uncachedOf(usage),
    outputTokens: usage.outputTokens,
    totalTokens: usage.inputTokens + usage.outputTokens,
    cacheReadInputTokens: usage.cacheReadTokens,
    cacheWriteInputTokens: usage.cacheWriteTokens,
  };
}

function* eventFrames(parts: Parts): Iterable<Frame> {
  const { composed } = parts;
  let calls = 0;
  yield eventFrame('messageStart', { role: 'assistant' });
  for (const [contentBlockIndex, block] of composed.blocks.entries()) {
    if (block.type === 'call') {
      const start = { toolUse: { toolUseId: parts.toolIds[calls++], name: block.name } };
      yield eventFrame('contentBlockStart', { contentBlockIndex, start }, countTokens(block.name));
    }
    for (const { delta, tokens } of deltasOf(block))
      yield eventFrame('contentBlockDelta', { contentBlockIndex, delta }, tokens);
    yield eventFrame('contentBlockStop', { contentBlockIndex });
  }
  yield eventFrame('messageStop', { stopReason: stopReasons[composed.finish] });
  const usage = composed.hidesUsage ? {} : { usage: usageOf(composed) };
  yield eventFrame('metadata', { ...usage, metrics: { latencyMs: 1 } });
}

function deltasOf(block: Block): { readonly delta: object; readonly tokens: number }[] {
  const pieces = piecesOf(block);
  if (block.type === 'call') {
    const unseen = tokensOf(block) - countTokens(block.name) - pieces.length;
    return pieces.map((input, index) => ({
      delta: { toolUse: { input } },
      tokens: index === 0 ? 1 + unseen : 1,
    }));
  }
  if (block.type !== 'thinking') return pieces.map(text => ({ delta: { text }, tokens: 1 }));
  const signature = { delta: { reasoningContent: { signature: signatureOf(block.text) } }, tokens: 0 };
  return [...pieces.map(text => ({ delta: { reasoningContent: { text } }, tokens: 1 })), signature];
}
