import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, NeutralRequest } from '../../domain/neutral-request.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { sseDecoder } from '../sse-decoder.ts';
import { ToolNames } from '../tool-names.ts';
import { foreign, mediaOf, sealOf } from './decode-parts.ts';
import { geminiNameLength } from './encode-request.ts';
import { readErrorCodes } from './errors.ts';
import { camelCased } from './names.ts';
import { readGeminiUsage, searchesIn, serviceTierOf } from './usage.ts';

export const geminiFinishReasons: FinishNames = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'filtered',
  RECITATION: 'filtered',
  BLOCKLIST: 'filtered',
  PROHIBITED_CONTENT: 'filtered',
  SPII: 'filtered',
  IMAGE_SAFETY: 'filtered',
  IMAGE_PROHIBITED_CONTENT: 'filtered',
  IMAGE_RECITATION: 'filtered',
  CONTINUATION: 'paused',
  MALFORMED_FUNCTION_CALL: 'malformed-call',
  UNEXPECTED_TOOL_CALL: 'malformed-call',
  TOO_MANY_TOOL_CALLS: 'malformed-call',
  MALFORMED_RESPONSE: 'malformed-call',
};

/** Reads chunks of generateContent (spec/llm-protocols 6.4): each holds new parts, and nothing but the end says that it is the end. */
export function openGeminiDecoder(request: NeutralRequest, limits?: SseLimits): StreamDecoder {
  const reader = new GeminiReader(request);
  return sseDecoder({ read: chunk => reader.read(chunk), end: () => reader.end() }, limits);
}

/** A whole answer is the only chunk. */
export function decodeGeminiAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  const reader = new GeminiReader(request);
  const events = reader.read(body);
  return events.some(event => event.type === 'error') ? events : [...events, ...reader.end()];
}

type Textual = { readonly kind: 'text' | 'reasoning'; readonly index: number };

class GeminiReader {
  readonly #names: ToolNames;
  #isStarted = false;
  #isEnded = false;
  #blocks = 0;
  #calls = 0;
  #id = '';
  #open: Textual | undefined;
  #lastText: number | undefined;
  #finish: FinishReason | undefined;
  #usage: JsonObject | undefined;
  #searches = 0;

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, geminiNameLength);
  }

  read(written: JsonObject): NeutralEvent[] {
    if (this.#isEnded) return [];
    if (written.error) {
      this.#isEnded = true;
      return [{ type: 'error', codes: readErrorCodes(written) }];
    }
    const chunk = camelCased(written);
    const events = this.#start(chunk);
    this.#usage = asObject(chunk.usageMetadata) ?? this.#usage;
    this.#searches = Math.max(this.#searches, searchesIn(chunk));
    if (asString(asObject(chunk.promptFeedback)?.blockReason) !== undefined) this.#finish = 'filtered';
    const candidate = asObjects(chunk.candidates).find(each => (asNumber(each.index) ?? 0) === 0);
    if (candidate === undefined) return events;
    for (const part of asObjects(asObject(candidate.content)?.parts)) events.push(...this.#part(part));
    events.push(...this.#citations(candidate));
    const finish = asString(candidate.finishReason);
    if (finish !== undefined && finish !== 'FINISH_REASON_UNSPECIFIED')
      this.#finish = finishNamed(geminiFinishReasons, finish);
    return events;
  }

  #reported(usage: JsonObject): NeutralEvent {
    const report = readGeminiUsage(usage, this.#searches);
    return { type: 'usage', report, serviceTier: serviceTierOf(usage) };
  }

  end(): NeutralEvent[] {
    if (this.#isEnded) return [];
    this.#isEnded = true;
    const usage = this.#usage === undefined ? [] : [this.#reported(this.#usage)];
    if (this.#finish === undefined) return usage;
    const reason = this.#finish === 'stop' && this.#calls > 0 ? 'tool-calls' : this.#finish;
    return [...this.#close(), ...usage, { type: 'finish', reason }];
  }

  #start(chunk: JsonObject): NeutralEvent[] {
    if (this.#isStarted) return [];
    this.#isStarted = true;
    this.#id = asString(chunk.responseId) ?? '';
    return [{ type: 'start', id: asString(chunk.responseId), model: asString(chunk.modelVersion) }];
  }

  #part(part: JsonObject): NeutralEvent[] {
    const text = asString(part.text);
    if (text !== undefined) return this.#text(part.thought === true ? 'reasoning' : 'text', text, part);
    const call = asObject(part.functionCall);
    if (call !== undefined) return this.#call(call, part);
    const media = mediaOf(part);
    return [...this.#close(), this.#begin({ kind: 'whole', part: media ?? foreign(part) })];
  }

  #text(kind: 'text' | 'reasoning', text: string, part: JsonObject): NeutralEvent[] {
    const seal = sealOf(part);
    if (text === '' && seal === undefined) return [];
    const events = this.#open?.kind === kind ? [] : [...this.#close(), ...this.#openText(kind)];
    const index = this.#open?.index ?? 0;
    if (text !== '') events.push({ type: 'block-delta', index, delta: { type: 'text', text } });
    if (seal !== undefined) events.push({ type: 'block-delta', index, delta: { type: 'seal', seal } });
    return events;
  }

  #openText(kind: 'text' | 'reasoning'): NeutralEvent[] {
    this.#open = { kind, index: this.#blocks };
    if (kind === 'text') this.#lastText = this.#blocks;
    return [this.#begin({ kind })];
  }

  #begin(block: BlockStart): NeutralEvent {
    return { type: 'block-start', index: this.#blocks++, block };
  }

  #close(): NeutralEvent[] {
    if (this.#open === undefined) return [];
    const { index } = this.#open;
    this.#open = undefined;
    return [{ type: 'block-stop', index }];
  }

  #call(call: JsonObject, part: JsonObject): NeutralEvent[] {
    const index = this.#blocks;
    const number = ++this.#calls;
    const text = JSON.stringify(asObject(call.args) ?? {});
    return [
      ...this.#close(),
      this.#begin({
        kind: 'tool-call',
        id: asString(call.id) || `call_${this.#id.slice(-16)}_${number}`,
        name: this.#names.original(asString(call.name) ?? ''),
        input: 'json',
        seal: sealOf(part),
      }),
      { type: 'block-delta', index, delta: { type: 'text', text } },
      { type: 'block-stop', index },
    ];
  }

  /** What the answer rests on; it comes with the last words, whose block may be closed by then. */
  #citations(candidate: JsonObject): NeutralEvent[] {
    const index = this.#open?.kind === 'text' ? this.#open.index : undefined;
    if (index === undefined || index !== this.#lastText) return [];
    return [
      ...groundings(asObject(candidate.groundingMetadata)),
      ...sources(asObject(candidate.citationMetadata)),
    ].map(citation => ({ type: 'block-delta', index, delta: { type: 'citation', citation } }));
  }
}

function groundings(grounding: JsonObject | undefined): Citation[] {
  const chunks = asObjects(grounding?.groundingChunks).map(
    chunk => asObject(chunk.web) ?? asObject(chunk.retrievedContext),
  );
  return asObjects(grounding?.groundingSupports).flatMap(support => {
    const segment = asObject(support.segment);
    const indices = Array.isArray(support.groundingChunkIndices) ? support.groundingChunkIndices : [];
    return indices.flatMap((at): Citation[] => {
      const chunk = typeof at === 'number' ? chunks[at] : undefined;
      if (chunk === undefined) return [];
      return [
        {
          url: asString(chunk.uri),
          title: asString(chunk.title),
          text: asString(segment?.text),
          start: asNumber(segment?.startIndex),
          end: asNumber(segment?.endIndex),
        },
      ];
    });
  });
}

function sources(citations: JsonObject | undefined): Citation[] {
  return asObjects(citations?.citations ?? citations?.citationSources).map(source => ({
    url: asString(source.uri),
    title: asString(source.title),
    start: asNumber(source.startIndex),
    end: asNumber(source.endIndex),
  }));
}
