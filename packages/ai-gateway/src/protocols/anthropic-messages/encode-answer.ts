import { anthropicErrorEvent } from '@strata/shared/errors/anthropic.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { outputTokens, type Usage } from '@strata/shared/money/usage.ts';
import type { AnswerContext, StreamEncoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { MediaPart, Part } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { load, loadSeal } from '../carrier.ts';
import { asObject, parseObject } from '../read-json.ts';
import { writeCitation } from './citations.ts';
import { messagesProtocol } from './decode-request.ts';

const stopNames: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  'stop-sequence': 'stop_sequence',
  length: 'max_tokens',
  'context-full': 'model_context_window_exceeded',
  'tool-calls': 'tool_use',
  filtered: 'refusal',
  refused: 'refusal',
  paused: 'pause_turn',
  'malformed-call': 'end_turn',
  unknown: 'end_turn',
};

/** A refusal's text is text here; the stop reason says what it is. */
function stopName(reason: FinishReason, hasRefusal: boolean): string {
  return hasRefusal && reason === 'stop' ? 'refusal' : stopNames[reason];
}

export function writeMessagesUsage(usage: Usage, serviceTier?: string): JsonObject {
  return {
    input_tokens: usage.input + (usage.audioInput ?? 0) + (usage.imageInput ?? 0),
    cache_creation_input_tokens: usage.cacheWrite + usage.cacheWrite1h,
    cache_read_input_tokens: usage.cacheRead,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWrite,
      ephemeral_1h_input_tokens: usage.cacheWrite1h,
    },
    output_tokens: outputTokens(usage),
    output_tokens_details: { thinking_tokens: usage.reasoning },
    server_tool_use: usage.toolUnits === undefined ? null : { web_search_requests: usage.toolUnits },
    service_tier: serviceTier === 'priority' ? 'priority' : serviceTier === undefined ? null : 'standard',
    speed: null,
    inference_geo: null,
  };
}

const noUsage: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

function messageHead(context: AnswerContext, model: string | undefined): JsonObject {
  return {
    id: `msg_${context.requestId}`,
    type: 'message',
    role: 'assistant',
    model: model ?? context.alias,
    container: null,
    stop_details: null,
    diagnostics: null,
  };
}

export function encodeMessagesAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject {
  const hasRefusal = answer.parts.some(part => part.type === 'refusal');
  return {
    ...messageHead(context, answer.model),
    content: answer.parts.flatMap(encodePart),
    stop_reason: stopName(answer.finish, hasRefusal),
    stop_sequence: answer.stopSequence ?? null,
    usage: writeMessagesUsage(answer.report?.usage ?? noUsage, answer.serviceTier),
  };
}

function encodePart(part: Part): JsonObject[] {
  switch (part.type) {
    case 'text': {
      const citations = (part.citations ?? []).flatMap(each => writeCitation(each) ?? []);
      if (part.text === '' && citations.length === 0) return [];
      return [{ type: 'text', text: part.text, citations: citations.length > 0 ? citations : null }];
    }
    case 'refusal':
      return [{ type: 'text', text: part.text, citations: null }];
    case 'reasoning':
      if (part.text === '' && part.seal === undefined) return [];
      if (isRedacted(part.seal)) return [{ type: 'redacted_thinking', data: loadSeal(part.seal) }];
      return [{ type: 'thinking', thinking: part.text, signature: loadSeal(part.seal) }];
    case 'tool-call': {
      const input =
        part.input === 'text' ? { input: part.arguments } : (parseObject(Buffer.from(part.arguments)) ?? {});
      const id = load(part.id, { seal: part.seal, reasoning: [] });
      return [{ type: 'tool_use', id, name: part.name, input }];
    }
    case 'foreign': {
      const value = part.protocol === messagesProtocol ? asObject(part.value) : undefined;
      return value === undefined ? [] : [value];
    }
    case 'tool-result':
      return [];
    default:
      return [{ type: 'text', text: unsayable(part), citations: null }];
  }
}

/** No answer of this protocol holds media: what is missing is said rather than left out. */
function unsayable({ type, source }: MediaPart): string {
  const mediaType = source.type === 'data' ? source.mediaType : type;
  return `[The model made something of type ${mediaType}, which this API cannot carry.]`;
}

function isRedacted(seal: Seal | undefined): seal is Seal {
  return seal?.kind === 'anthropic-redacted';
}

/** A seal that is undefined says that there is none. */
type Delta =
  | Extract<NeutralEvent, { type: 'block-delta' }>['delta']
  | { readonly type: 'seal'; readonly seal: undefined };

/** Named events, each with its name in the data too. Blocks come one after another with dense indexes. */
export class MessagesStreamEncoder implements StreamEncoder {
  readonly #context: AnswerContext;
  #blocks = 0;
  /** Undefined while a block is passed over that this protocol has no word for. */
  #block: BlockStart | undefined;
  #hasRefusal = false;
  #isSealed = false;
  #finish: Extract<NeutralEvent, { type: 'finish' }> | undefined;
  #usage: Extract<NeutralEvent, { type: 'usage' }> | undefined;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  encode(event: NeutralEvent): string {
    switch (event.type) {
      case 'start':
        return this.#start(event);
      case 'block-start':
        return this.#open(event.block);
      case 'block-delta':
        return this.#delta(event.delta);
      case 'block-stop':
        return this.#close();
      case 'usage':
        this.#usage = event;
        return '';
      case 'finish':
        this.#finish = event;
        return '';
      case 'error':
        return '';
    }
  }

  end(): string {
    const { reason = 'unknown', stopSequence = null } = this.#finish ?? {};
    const delta = { stop_reason: stopName(reason, this.#hasRefusal), stop_sequence: stopSequence };
    const usage = writeMessagesUsage(this.#usage?.report.usage ?? noUsage, this.#usage?.serviceTier);
    return frame({ type: 'message_delta', delta, usage }) + frame({ type: 'message_stop' });
  }

  fail(error: GatewayError): string {
    return anthropicErrorEvent(error, { requestId: this.#context.requestId });
  }

  /** The true usage is known at the end only; what is known of the input now is told. */
  #start({ model, usage }: Extract<NeutralEvent, { type: 'start' }>): string {
    const message = {
      ...messageHead(this.#context, model),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: writeMessagesUsage(usage?.usage ?? noUsage),
    };
    return frame({ type: 'message_start', message });
  }

  #open(block: BlockStart): string {
    const content = openBlock(block);
    this.#block = content === undefined ? undefined : block;
    if (content === undefined) return '';
    if (block.kind === 'refusal') this.#hasRefusal = true;
    this.#isSealed = block.kind !== 'reasoning' || isRedacted(block.seal);
    return frame({ type: 'content_block_start', index: this.#blocks, content_block: content });
  }

  #delta(delta: Delta): string {
    if (delta.type === 'seal') this.#isSealed = true;
    const written = this.#block && writeDelta(this.#block, delta);
    return written === undefined
      ? ''
      : frame({ type: 'content_block_delta', index: this.#blocks, delta: written });
  }

  #close(): string {
    if (this.#block === undefined) return '';
    const sealed = this.#isSealed ? '' : this.#delta({ type: 'seal', seal: undefined });
    this.#block = undefined;
    return sealed + frame({ type: 'content_block_stop', index: this.#blocks++ });
  }
}

function openBlock(block: BlockStart): JsonObject | undefined {
  switch (block.kind) {
    case 'text':
    case 'refusal':
      return { type: 'text', text: '' };
    case 'reasoning':
      if (isRedacted(block.seal)) return { type: 'redacted_thinking', data: loadSeal(block.seal) };
      return { type: 'thinking', thinking: '', signature: '' };
    case 'tool-call':
      return {
        type: 'tool_use',
        id: load(block.id, { seal: block.seal, reasoning: [] }),
        name: block.name,
        input: {},
      };
    case 'whole':
      return encodePart(block.part)[0];
  }
}

function writeDelta(block: BlockStart, delta: Delta): JsonObject | undefined {
  if (delta.type === 'seal') {
    if (block.kind !== 'reasoning') return undefined;
    return { type: 'signature_delta', signature: loadSeal(delta.seal) };
  }
  if (delta.type === 'citation') {
    const citation = writeCitation(delta.citation);
    return citation && { type: 'citations_delta', citation };
  }
  switch (block.kind) {
    case 'text':
    case 'refusal':
      return { type: 'text_delta', text: delta.text };
    case 'reasoning':
      return { type: 'thinking_delta', thinking: delta.text };
    case 'tool-call':
      return { type: 'input_json_delta', partial_json: delta.text };
    case 'whole':
      return undefined;
  }
}

function frame(data: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
}
