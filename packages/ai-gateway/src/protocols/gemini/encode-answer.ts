import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { geminiErrorBody } from '@strata/shared/errors/gemini.ts';
import type { AnswerContext, StreamEncoder } from '../../domain/codec.ts';
import { AnswerFold } from '../../domain/fold-answer.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, Part, ReasoningPart } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { asObject, parseObject } from '../read-json.ts';
import { geminiProtocol } from './names.ts';
import { writeSignature } from './signature.ts';
import { writeGeminiUsage } from './usage.ts';

const finishNames: Readonly<Record<FinishReason, string>> = {
  stop: 'STOP',
  'stop-sequence': 'STOP',
  length: 'MAX_TOKENS',
  'context-full': 'MAX_TOKENS',
  'tool-calls': 'STOP',
  filtered: 'SAFETY',
  refused: 'SAFETY',
  paused: 'STOP',
  'malformed-call': 'MALFORMED_FUNCTION_CALL',
  unknown: 'STOP',
};

/** A refusal's text is text here; the reason says what it is. */
function finishName(reason: FinishReason, hasRefusal: boolean): string {
  return finishNames[hasRefusal && reason === 'stop' ? 'refused' : reason];
}

export function encodeGeminiAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject {
  const parts = encodeParts(answer.parts);
  const citations = answer.parts.flatMap(part => (part.type === 'text' ? (part.citations ?? []) : []));
  const hasRefusal = answer.parts.some(part => part.type === 'refusal');
  const candidate = candidateOf(parts, { finish: finishName(answer.finish, hasRefusal), citations });
  return envelope(context, answer.model, candidate, answer.report && writeGeminiUsage(answer.report.usage));
}

/** A call takes along the sealed reasoning before it: clients that keep a history may drop thoughts, and never a call. */
function encodeParts(parts: readonly Part[]): JsonObject[] {
  const waiting: ReasoningPart[] = [];
  return parts.flatMap(part => {
    if (part.type === 'reasoning' && part.seal !== undefined) waiting.push(part);
    return encodePart(part, part.type === 'tool-call' ? waiting.splice(0) : []);
  });
}

function encodePart(part: Part, carried: readonly ReasoningPart[] = []): JsonObject[] {
  switch (part.type) {
    case 'text':
      return part.text === '' && part.seal === undefined
        ? []
        : [{ text: part.text, ...(part.seal && signed(part)) }];
    case 'refusal':
      return [{ text: part.text }];
    case 'reasoning':
      return part.text === '' && part.seal === undefined
        ? []
        : [{ text: part.text, thought: true, ...signed(part) }];
    case 'tool-call': {
      const { id, name, input, arguments: text } = part;
      const args = input === 'text' ? { input: text } : (parseObject(Buffer.from(text)) ?? {});
      return [{ functionCall: { id, name, args }, thoughtSignature: writeSignature(part.seal, carried) }];
    }
    case 'foreign': {
      const value = part.protocol === geminiProtocol ? asObject(part.value) : undefined;
      return value === undefined ? [] : [value];
    }
    case 'tool-result':
      return [];
    default:
      return part.source.type === 'data'
        ? [{ inlineData: { mimeType: part.source.mediaType, data: part.source.data } }]
        : [];
  }
}

function signed({ seal }: { readonly seal?: Seal | undefined }): JsonObject {
  return { thoughtSignature: writeSignature(seal) };
}

function candidateOf(
  parts: readonly JsonObject[],
  more: { readonly finish?: string; readonly citations?: readonly Citation[] } = {},
): JsonObject {
  return {
    content: { parts, role: 'model' },
    finishReason: more.finish,
    index: 0,
    groundingMetadata: more.citations && groundingOf(more.citations),
  };
}

function groundingOf(citations: readonly Citation[]): JsonObject | undefined {
  const cited = citations.filter(each => each.url !== undefined);
  if (cited.length === 0) return undefined;
  return {
    groundingChunks: cited.map(({ url, title }) => ({ web: { uri: url, title } })),
    groundingSupports: cited.map(({ start, end, text }, index) => ({
      segment: { startIndex: start, endIndex: end, text },
      groundingChunkIndices: [index],
    })),
  };
}

function envelope(
  context: AnswerContext,
  model: string | undefined,
  candidate: JsonObject,
  usage?: JsonObject,
): JsonObject {
  return {
    candidates: [candidate],
    usageMetadata: usage,
    modelVersion: model ?? context.alias,
    responseId: context.requestId,
  };
}

type Delta = Extract<NeutralEvent, { type: 'block-delta' }>['delta'];

/** Chunks of new parts. Text leaves as it comes; a call leaves whole, as this protocol has it. */
export class GeminiStreamEncoder implements StreamEncoder {
  readonly #context: AnswerContext;
  #model: string | undefined;
  #block: BlockStart | undefined;
  /** The call or the thought that is open. */
  #open: AnswerFold | undefined;
  /** Sealed reasoning that waits for a call to take it along. */
  readonly #waiting: ReasoningPart[] = [];
  readonly #citations: Citation[] = [];
  #hasRefusal = false;
  #finish: FinishReason = 'unknown';
  #usage: JsonObject | undefined;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  encode(event: NeutralEvent): string {
    switch (event.type) {
      case 'start':
        this.#model = event.model;
        return '';
      case 'block-start':
        return this.#begin(event);
      case 'block-delta':
        this.#open?.add(event);
        return this.#delta(event.delta);
      case 'block-stop':
        return this.#close();
      case 'usage':
        this.#usage = writeGeminiUsage(event.report.usage);
        return '';
      case 'finish':
        this.#finish = event.reason;
        return '';
      case 'error':
        return '';
    }
  }

  end(): string {
    const candidate = candidateOf([{ text: '' }], {
      finish: finishName(this.#finish, this.#hasRefusal),
      citations: this.#citations,
    });
    return this.#frame(envelope(this.#context, this.#model, candidate, this.#usage));
  }

  fail(error: GatewayError): string {
    return this.#frame(geminiErrorBody(error));
  }

  #begin(event: Extract<NeutralEvent, { type: 'block-start' }>): string {
    const { block } = event;
    this.#block = block;
    if (block.kind === 'refusal') this.#hasRefusal = true;
    if (block.kind === 'whole') return this.#parts(encodePart(block.part));
    if (block.kind !== 'reasoning' && block.kind !== 'tool-call') return '';
    this.#open = new AnswerFold();
    this.#open.add(event);
    if (block.kind === 'tool-call' || block.seal === undefined) return '';
    return this.#parts([{ text: '', thought: true, ...signed(block) }]);
  }

  #delta(delta: Delta): string {
    const kind = this.#block?.kind;
    if (delta.type === 'citation') {
      this.#citations.push(delta.citation);
      return '';
    }
    if (kind !== 'text' && kind !== 'refusal' && kind !== 'reasoning') return '';
    const thought = kind === 'reasoning' ? { thought: true } : {};
    if (delta.type === 'seal') {
      return this.#parts([{ text: '', ...thought, ...signed(delta) }]);
    }
    return this.#parts([{ text: delta.text, ...thought }]);
  }

  #close(): string {
    const [part] = this.#open?.answer().parts ?? [];
    this.#open = undefined;
    this.#block = undefined;
    if (part?.type === 'tool-call') return this.#parts(encodePart(part, this.#waiting.splice(0)));
    if (part?.type !== 'reasoning') return '';
    if (part.seal === undefined) return this.#parts([{ text: '', thought: true, ...signed({}) }]);
    this.#waiting.push(part);
    return '';
  }

  #parts(parts: readonly JsonObject[]): string {
    if (parts.length === 0) return '';
    return this.#frame(envelope(this.#context, this.#model, candidateOf(parts)));
  }

  #frame(chunk: object): string {
    return `data: ${JSON.stringify(chunk)}\n\n`;
  }
}
