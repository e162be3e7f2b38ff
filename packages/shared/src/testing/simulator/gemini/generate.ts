import {
  type ApiRequest,
  type Composed,
  type Desk,
  eventStreamHeaders,
  type Frame,
  jsonReply,
  type ModelEntry,
  type StreamReply,
  type WholeReply,
} from '../http/protocol.ts';
import { type Block, piecesOf, tokensOf } from '../model/compose-answer.ts';
import { isObject } from '../model/schema-instance.ts';
import { signatureOf } from '../model/signature.ts';
import { countPrompt } from '../model/tokens.ts';
import { errorBody } from './errors.ts';
import { generateConversation } from './generate-conversation.ts';
import {
  checkGenerateRequest,
  countRequestSchema,
  type GenerateRequest,
  generateRequestSchema,
  type Part,
  parseBody,
} from './generate-request.ts';
import { modelOf, signsCalls } from './models.ts';

/** What an answer is rendered from. */
interface Parts {
  readonly body: GenerateRequest;
  readonly model: ModelEntry;
  readonly composed: Composed;
  readonly responseId: string;
  readonly callIds: readonly string[];
}

const finishReasons = {
  stop: 'STOP',
  'stop-sequence': 'STOP',
  length: 'MAX_TOKENS',
  calls: 'STOP',
  refusal: 'SAFETY',
  filter: 'PROHIBITED_CONTENT',
} as const;

/** `POST …:generateContent`. */
export function generateContent(request: ApiRequest, desk: Desk): WholeReply {
  const parts = compose(request, desk);
  const whole = joinTexts(stepsOf(parts).map(step => step.part));
  const candidate = { content: contentOf(whole), finishReason: finishReasons[parts.composed.finish] };
  const { composed } = parts;
  return jsonReply(envelope(parts, candidate, composed.usage.outputTokens), headersOf(), {
    billing: { model: parts.model.id, usage: composed.usage },
    fault: composed.fault,
  });
}

/** `POST …:streamGenerateContent`: events with `?alt=sse`, else a JSON array that grows. */
export function streamGenerateContent(request: ApiRequest, desk: Desk): StreamReply {
  const parts = compose(request, desk);
  const isSse = request.query.get('alt') === 'sse';
  let sent = 0;
  const frame = (value: object, tokens: number, isLast: boolean): Frame => {
    const json = JSON.stringify(value);
    const bytes = isSse
      ? `data: ${json}\r\n\r\n`
      : `${sent === 0 ? '[' : ',\r\n'}${json}${isLast ? ']' : ''}`;
    sent++;
    return { bytes, tokens };
  };
  return {
    type: 'stream',
    headers: isSse
      ? { ...eventStreamHeaders, ...headersOf() }
      : { 'content-type': 'application/json', ...headersOf() },
    frames: chunkFrames(parts, frame),
    billing: { model: parts.model.id, usage: parts.composed.usage },
    fault: parts.composed.fault,
    errorFrame: error => frame(errorBody(error), 0, true).bytes,
    malformedFrame: isSse
      ? 'data: {"candidates":[{"content":{"par\r\n\r\n'
      : '{"candidates":[{"content":{"par]',
  };
}

/** `POST …:countTokens`. */
export function countContentTokens(request: ApiRequest, desk: Desk): WholeReply {
  const { generateContentRequest, ...flat } = parseBody(request.body, countRequestSchema);
  const body = generateContentRequest ?? { ...flat, contents: flat.contents ?? [] };
  const totalTokens = countPrompt(generateConversation(body, modelOf(request, desk)));
  return jsonReply(
    { totalTokens, promptTokensDetails: [{ modality: 'TEXT', tokenCount: totalTokens }] },
    headersOf(),
  );
}

function headersOf(): Record<string, string> {
  return { 'server-timing': 'gfet4t7; dur=1', vary: 'Origin, X-Origin, Referer' };
}

function compose(request: ApiRequest, desk: Desk): Parts {
  const model = modelOf(request, desk);
  const body = parseBody(request.body, generateRequestSchema);
  checkGenerateRequest(body, signsCalls(model));
  const composed = desk.compose(generateConversation(body, model));
  const calls = composed.blocks.filter(block => block.type === 'call');
  return {
    body,
    model,
    composed,
    responseId: desk.ids.next('', 22),
    callIds: signsCalls(model) ? calls.map(() => desk.ids.next('', 8).toLowerCase()) : [],
  };
}

/** A part as it is streamed, with the tokens it brings. */
interface Step {
  readonly part: Part;
  readonly tokens: number;
}

function stepsOf(parts: Parts): Step[] {
  const steps: Step[] = [];
  let calls = 0;
  let hiddenTokens = 0;
  for (const block of parts.composed.blocks) {
    if (block.type === 'call') {
      steps.push({ part: callPart(block, parts, calls++), tokens: tokensOf(block) + hiddenTokens });
      hiddenTokens = 0;
      continue;
    }
    const isThought = block.type === 'thinking';
    if (isThought && !parts.body.generationConfig?.thinkingConfig?.includeThoughts) {
      hiddenTokens += tokensOf(block);
      continue;
    }
    for (const text of piecesOf(block)) {
      steps.push({ part: isThought ? { text, thought: true } : { text }, tokens: 1 + hiddenTokens });
      hiddenTokens = 0;
    }
  }
  if (steps.length === 0) steps.push({ part: { text: '' }, tokens: hiddenTokens });
  return steps;
}

function callPart(block: Extract<Block, { type: 'call' }>, parts: Parts, index: number): Part {
  const id = parts.callIds[index];
  const isSigned = index === 0 && signsCalls(parts.model);
  return {
    functionCall: {
      ...(id === undefined ? {} : { id }),
      name: block.name,
      args: argumentsOf(block.arguments),
    },
    ...(isSigned
      ? { thoughtSignature: Buffer.from(signatureOf(block.name + block.arguments)).toString('base64') }
      : {}),
  };
}

function argumentsOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    // On this wire arguments are an object; text that is none has no place.
    return {};
  }
}

function joinTexts(parts: readonly Part[]): Part[] {
  const joined: Part[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (last?.text !== undefined && part.text !== undefined && last.thought === part.thought)
      joined[joined.length - 1] = { ...last, text: last.text + part.text };
    else joined.push(part);
  }
  return joined;
}

function contentOf(parts: readonly Part[]) {
  return { parts, role: 'model' };
}

function* chunkFrames(
  parts: Parts,
  frame: (value: object, tokens: number, isLast: boolean) => Frame,
): Iterable<Frame> {
  const steps = stepsOf(parts);
  let tokens = 0;
  for (const [index, step] of steps.entries()) {
    tokens += step.tokens;
    const isLast = index === steps.length - 1;
    const candidate = {
      content: contentOf([step.part]),
      ...(isLast ? { finishReason: finishReasons[parts.composed.finish] } : {}),
    };
    yield frame(envelope(parts, candidate, tokens), step.tokens, isLast);
  }
}

/** Usage grows from chunk to chunk; the last one has it all. */
function envelope(parts: Parts, candidate: object, outputTokens: number): object {
  const { usage } = parts.composed;
  const thoughts = Math.min(usage.thinkingTokens, outputTokens);
  const usageMetadata = {
    promptTokenCount: usage.inputTokens,
    ...(usage.cacheReadTokens > 0 ? { cachedContentTokenCount: usage.cacheReadTokens } : {}),
    candidatesTokenCount: outputTokens - thoughts,
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
    totalTokenCount: usage.inputTokens + outputTokens,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.inputTokens }],
  };
  return {
    candidates: [{ ...candidate, index: 0 }],
    ...(parts.composed.hidesUsage ? {} : { usageMetadata }),
    modelVersion: parts.model.id,
    responseId: parts.responseId,
  };
}
