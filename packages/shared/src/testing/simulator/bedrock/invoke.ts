import { composeMessage } from '../anthropic/messages.ts';
import { type MessageParts, messageEvents, uncachedOf, wholeMessage } from '../anthropic/messages-answer.ts';
import { invokeRequestSchema } from '../anthropic/messages-request.ts';
import { parseBody } from '../anthropic/parse.ts';
import {
  ApiError,
  type ApiRequest,
  type Desk,
  type Frame,
  jsonReply,
  type StreamReply,
  type WholeReply,
} from '../http/protocol.ts';
import { bedrockHeaders, modelOf } from './errors.ts';
import { brokenFrame, eventFrame, eventStreamType, exceptionFrame } from './event-stream.ts';

/** `POST /model/{id}/invoke`, with a body as Anthropic's models take it. */
export function invokeModel(request: ApiRequest, desk: Desk): WholeReply {
  const { parts, billing } = compose(request, desk);
  const { fault, usage } = parts.composed;
  const headers = {
    ...bedrockHeaders(desk),
    'x-amzn-bedrock-invocation-latency': '1',
    'x-amzn-bedrock-input-token-count': String(uncachedOf(usage)),
    'x-amzn-bedrock-output-token-count': String(usage.outputTokens),
    'x-amzn-bedrock-cache-read-input-token-count': String(usage.cacheReadTokens),
    'x-amzn-bedrock-cache-write-input-token-count': String(usage.cacheWriteTokens),
  };
  return jsonReply(wholeMessage(parts), headers, { billing, fault });
}

/** `POST /model/{id}/invoke-with-response-stream`: Anthropic's events in binary frames. */
export function invokeModelWithResponseStream(request: ApiRequest, desk: Desk): StreamReply {
  const { parts, billing } = compose(request, desk);
  return {
    type: 'stream',
    headers: {
      'content-type': eventStreamType,
      'x-amzn-bedrock-content-type': 'application/json',
      ...bedrockHeaders(desk),
    },
    frames: chunkFrames(parts),
    billing,
    fault: parts.composed.fault,
    errorFrame: exceptionFrame,
    malformedFrame: brokenFrame(),
  };
}

function compose(request: ApiRequest, desk: Desk) {
  const model = modelOf(request.captured[0] ?? '', desk);
  const vendorName = /(?:^|\.)anthropic\.(.+?)(?:-v\d+:\d+)?$/.exec(model.id)?.[1];
  if (vendorName === undefined)
    throw new ApiError(400, `The simulator has no native body for the model ${model.id}; use Converse.`);
  const composed = composeMessage(parseBody(request.body, invokeRequestSchema), model, desk);
  const parts: MessageParts = {
    ...composed,
    id: composed.id.replace('msg_', 'msg_bdrk_'),
    model: vendorName,
  };
  return { parts, billing: { model: model.id, usage: parts.composed.usage } };
}

function* chunkFrames(parts: MessageParts): Iterable<Frame> {
  const { usage } = parts.composed;
  const metrics = {
    inputTokenCount: uncachedOf(usage),
    outputTokenCount: usage.outputTokens,
    invocationLatency: 1,
    firstByteLatency: 1,
    cacheReadInputTokenCount: usage.cacheReadTokens,
    cacheWriteInputTokenCount: usage.cacheWriteTokens,
  };
  for (const { event, tokens } of messageEvents(parts)) {
    if (event.type === 'ping') continue;
    const isLast = event.type === 'message_stop' && !parts.composed.hidesUsage;
    const native = isLast ? { ...event, 'amazon-bedrock-invocationMetrics': metrics } : event;
    yield eventFrame('chunk', { bytes: Buffer.from(JSON.stringify(native)).toString('base64') }, tokens);
  }
}
