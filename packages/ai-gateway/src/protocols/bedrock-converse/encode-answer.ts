import { bedrockErrorType } from '@strata/shared/errors/bedrock.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatAwsEvent } from '@strata/shared/http/aws-event-stream.ts';
import type { StreamEncoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, Part, ReasoningPart } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { load, loadSeal } from '../carrier.ts';
import { asObject, parseObject } from '../read-json.ts';
import { tierNamed } from '../service-tier.ts';
import { writeCitation } from './citations.ts';
import { converseProtocol } from './decode-request.ts';
import { formatOf } from './media-formats.ts';
import { writeConverseUsage } from './usage.ts';

const stopNames: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  'stop-sequence': 'stop_sequence',
  length: 'max_tokens',
  'context-full': 'model_context_window_exceeded',
  'tool-calls': 'tool_use',
  filtered: 'content_filtered',
  refused: 'content_filtered',
  paused: 'end_turn',
  'malformed-call': 'malformed_tool_use',
  unknown: 'end_turn',
};

const noUsage = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWrite1h: 0, output: 0, reasoning: 0 };

/** A refusal's text is text here; the reason says what it is. */
function stopName(reason: FinishReason, hasRefusal: boolean): string {
  return stopNames[hasRefusal && reason === 'stop' ? 'refused' : reason];
}

export function encodeConverseAnswer(answer: NeutralAnswer): JsonObject {
  return {
    output: { message: { role: 'assistant', content: answer.parts.flatMap(encodePart) } },
    stopReason: stopName(
      answer.finish,
      answer.parts.some(part => part.type === 'refusal'),
    ),
    usage: writeConverseUsage(answer.report?.usage ?? noUsage),
    metrics: { latencyMs: 0 },
    serviceTier: answer.serviceTier === undefined ? undefined : { type: tierNamed(answer.serviceTier) },
  };
}

function encodePart(part: Part): JsonObject[] {
  switch (part.type) {
    case 'text':
      return part.text === '' ? [] : [encodeText(part.text, part.citations ?? [])];
    case 'refusal':
      return [{ text: part.text }];
    case 'reasoning':
      return encodeReasoning(part);
    case 'tool-call': {
      const { id, name, input, arguments: text, seal } = part;
      const value = input === 'text' ? { input: text } : (parseObject(Buffer.from(text)) ?? {});
      return [{ toolUse: { toolUseId: load(id, { seal, reasoning: [] }), name, input: value } }];
    }
    case 'foreign': {
      const value = part.protocol === converseProtocol ? asObject(part.value) : undefined;
      return value === undefined ? [] : [value];
    }
    case 'image': {
      if (part.source.type !== 'data') return [];
      const format = formatOf('image', part.source.mediaType);
      return format === undefined ? [] : [{ image: { format, source: { bytes: part.source.data } } }];
    }
    default:
      return [];
  }
}

function encodeText(text: string, citations: readonly Citation[]): JsonObject {
  const written = citations.flatMap(each => writeCitation(each) ?? []);
  return written.length === 0 ? { text } : { citationsContent: { content: [{ text }], citations: written } };
}

function encodeReasoning({ text, seal }: ReasoningPart): JsonObject[] {
  if (text === '' && seal === undefined) return [];
  if (seal !== undefined && text === '')
    return [{ reasoningContent: { redactedContent: writeRedacted(seal) } }];
  return [{ reasoningContent: { reasoningText: { text, signature: loadSeal(seal) } } }];
}

/** Bytes in base64, which the SDK decodes. */
function writeRedacted(seal: Seal): string {
  return Buffer.from(loadSeal(seal), 'latin1').toString('base64');
}

type Delta = Extract<NeutralEvent, { type: 'block-delta' }>['delta'];

/** ConverseStream. Text and reasoning begin with their first delta; usage comes last of all. */
export class ConverseStreamEncoder implements StreamEncoder {
  #block: BlockStart | undefined;
  #index = 0;
  #isWritten = false;
  #isSealed = false;
  #hasRefusal = false;
  #finish: FinishReason = 'unknown';
  #usage = writeConverseUsage(noUsage);

  encode(event: NeutralEvent): Buffer {
    switch (event.type) {
      case 'start':
        return frame('messageStart', { role: 'assistant' });
      case 'block-start':
        return this.#open(event.block);
      case 'block-delta':
        return this.#delta(event.delta);
      case 'block-stop':
        return this.#close();
      case 'usage':
        this.#usage = writeConverseUsage(event.report.usage);
        return nothing;
      case 'finish':
        this.#finish = event.reason;
        return nothing;
      case 'error':
        return nothing;
    }
  }

  end(): Buffer {
    return Buffer.concat([
      frame('messageStop', { stopReason: stopName(this.#finish, this.#hasRefusal) }),
      frame('metadata', { usage: this.#usage, metrics: { latencyMs: 0 } }),
    ]);
  }

  fail(error: GatewayError): Buffer {
    return formatException(error);
  }

  #open(block: BlockStart): Buffer {
    this.#block = block;
    this.#isWritten = false;
    this.#isSealed = block.kind === 'reasoning' && block.seal !== undefined;
    if (block.kind === 'refusal') this.#hasRefusal = true;
    switch (block.kind) {
      case 'tool-call': {
        const toolUseId = load(block.id, { seal: block.seal, reasoning: [] });
        this.#isWritten = true;
        return frame('contentBlockStart', {
          contentBlockIndex: this.#index,
          start: { toolUse: { toolUseId, name: block.name } },
        });
      }
      case 'reasoning':
        if (block.seal === undefined) return nothing;
        return this.#write({ reasoningContent: { redactedContent: writeRedacted(block.seal) } });
      case 'whole': {
        const [value] = encodePart(block.part);
        return value === undefined ? nothing : this.#startWhole(value);
      }
      default:
        return nothing;
    }
  }

  /** A picture's bytes follow in a delta; what else is whole is all in its start. */
  #startWhole(value: JsonObject): Buffer {
    this.#isWritten = true;
    const image = asObject(value.image);
    const start = image === undefined ? value : { image: { format: image.format } };
    const begun = frame('contentBlockStart', { contentBlockIndex: this.#index, start });
    if (image === undefined) return begun;
    return Buffer.concat([begun, this.#write({ image: { source: image.source } })]);
  }

  #delta(delta: Delta): Buffer {
    if (delta.type === 'seal') this.#isSealed = true;
    const written = deltaOf(this.#block, delta);
    return written === undefined ? nothing : this.#write(written);
  }

  #write(delta: JsonObject): Buffer {
    this.#isWritten = true;
    return frame('contentBlockDelta', { contentBlockIndex: this.#index, delta });
  }

  #close(): Buffer {
    const isUnsealed = this.#block?.kind === 'reasoning' && !this.#isSealed;
    const mark = isUnsealed ? this.#write({ reasoningContent: { signature: loadSeal(undefined) } }) : nothing;
    this.#block = undefined;
    if (!this.#isWritten) return nothing;
    return Buffer.concat([mark, frame('contentBlockStop', { contentBlockIndex: this.#index++ })]);
  }
}

const nothing = Buffer.alloc(0);

function deltaOf(block: BlockStart | undefined, delta: Delta): JsonObject | undefined {
  if (delta.type === 'citation') {
    const citation = writeCitation(delta.citation);
    return citation && { citation };
  }
  if (delta.type === 'seal') {
    return block?.kind === 'reasoning'
      ? { reasoningContent: { signature: loadSeal(delta.seal) } }
      : undefined;
  }
  switch (block?.kind) {
    case 'text':
    case 'refusal':
      return { text: delta.text };
    case 'reasoning':
      return { reasoningContent: { text: delta.text } };
    case 'tool-call':
      return { toolUse: { input: delta.text } };
    default:
      return undefined;
  }
}

function frame(type: string, payload: object): Buffer {
  return formatAwsEvent({ messageType: 'event', type, payload });
}

/** The SDK throws it under this name. Only the exceptions that the operation knows may be there. */
export function formatException(error: GatewayError): Buffer {
  return formatAwsEvent({
    messageType: 'exception',
    type: streamException(bedrockErrorType(error)),
    payload: { message: error.publicMessage },
  });
}

const streamExceptions = new Set([
  'ThrottlingException',
  'ValidationException',
  'ServiceUnavailableException',
]);

function streamException(type: string): string {
  if (!streamExceptions.has(type)) return 'internalServerException';
  return type.charAt(0).toLowerCase() + type.slice(1);
}
