import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralEvent } from '../../domain/neutral-event.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { sourceOfUrl } from '../media.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { sseDecoder } from '../sse-decoder.ts';
import { ToolNames } from '../tool-names.ts';
import { chatNameLength } from './encode-request.ts';
import { readErrorCodes } from './errors.ts';
import { readOpenaiUsage } from './usage.ts';

export const chatFinishReasons: FinishNames = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'filtered',
};

/** Reads chat completion chunks (spec/llm-protocols 6.1). Only the first choice exists in other protocols. */
export function openChatDecoder(request: NeutralRequest, limits?: SseLimits): StreamDecoder {
  const reader = new ChatReader(request);
  return sseDecoder(
    {
      read: chunk => reader.read(chunk, 'delta'),
      readWord: word => (word === '[DONE]' ? reader.end() : undefined),
      end: () => reader.end(),
    },
    limits,
  );
}

/** A whole completion is one chunk with a `message` for a `delta`. */
export function decodeChatAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  const reader = new ChatReader(request);
  const events = reader.read(body, 'message');
  return events.some(event => event.type === 'error') ? events : [...events, ...reader.end()];
}

interface OpenCall {
  readonly block: number;
  readonly id: string | undefined;
  arguments: string;
}

class ChatReader {
  readonly #names: ToolNames;
  #isStarted = false;
  #isEnded = false;
  #blocks = 0;
  #textual: { readonly kind: 'text' | 'refusal' | 'reasoning'; readonly block: number } | undefined;
  /** By the index the upstream gives. */
  readonly #calls = new Map<number, OpenCall>();
  #lastCall: OpenCall | undefined;
  #finish: FinishReason | undefined;
  #usage: NeutralEvent | undefined;
  #id = '';

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, chatNameLength);
  }

  read(chunk: JsonObject, member: 'delta' | 'message'): NeutralEvent[] {
    if (this.#isEnded) return [];
    if (chunk.error) {
      this.#isEnded = true;
      return [{ type: 'error', codes: readErrorCodes(chunk) }];
    }
    const events = this.#start(chunk);
    const usage = asObject(chunk.usage) ?? asObject(asObject(chunk.x_groq)?.usage);
    if (usage !== undefined) {
      // The last one counts; some vendors send many.
      const serviceTier = asString(chunk.service_tier);
      this.#usage = { type: 'usage', report: readOpenaiUsage(usage), serviceTier };
    }
    for (const choice of asObjects(chunk.choices)) {
      if ((asNumber(choice.index) ?? 0) !== 0) continue;
      const delta = asObject(choice[member]);
      if (delta !== undefined) events.push(...this.#delta(delta));
      const finish = asString(choice.finish_reason);
      if (finish !== undefined) this.#finish = finishNamed(chatFinishReasons, finish);
    }
    return events;
  }

  /** What comes after the last chunk: some vendors send usage after the finish, so both wait until here. */
  end(): NeutralEvent[] {
    if (this.#isEnded) return [];
    this.#isEnded = true;
    if (this.#finish === undefined) return this.#usage === undefined ? [] : [this.#usage];
    // Vendors that say `stop` after calls mean the calls.
    const hasCalls = this.#lastCall !== undefined && this.#finish === 'stop';
    const reason = hasCalls ? 'tool-calls' : this.#finish;
    return [...(this.#usage ? [this.#usage] : []), { type: 'finish', reason }];
  }

  #start(chunk: JsonObject): NeutralEvent[] {
    if (this.#isStarted) return [];
    this.#isStarted = true;
    this.#id = asString(chunk.id) ?? '';
    return [{ type: 'start', id: asString(chunk.id), model: asString(chunk.model) }];
  }

  #delta(delta: JsonObject): NeutralEvent[] {
    return [
      ...this.#text('reasoning', asString(delta.reasoning_content) ?? asString(delta.reasoning)),
      ...this.#content(delta.content),
      ...asObjects(delta.images).flatMap(image => this.#image(image)),
      ...this.#text('refusal', asString(delta.refusal)),
      ...asObjects(delta.annotations).flatMap(annotation => this.#annotation(annotation)),
      ...asObjects(delta.tool_calls).flatMap((call, at) => this.#call(call, asNumber(call.index) ?? at)),
    ];
  }

  /** Mistral writes content as a list of parts, its thinking among them. */
  #content(content: unknown): NeutralEvent[] {
    if (typeof content === 'string') return this.#text('text', content);
    return asObjects(content).flatMap(part => {
      if (part.type === 'text') return this.#text('text', asString(part.text));
      if (part.type !== 'thinking') return [];
      const thoughts = asObjects(part.thinking).map(({ text }) => asString(text) ?? '');
      return this.#text('reasoning', asString(part.thinking) ?? thoughts.join(''));
    });
  }

  /** OpenRouter's pictures. */
  #image(image: JsonObject): NeutralEvent[] {
    const url = asString(asObject(image.image_url)?.url);
    if (url === undefined) return [];
    const index = this.#blocks;
    const part = { type: 'image', source: sourceOfUrl(url) } as const;
    return [...this.#closeText(), this.#open({ kind: 'whole', part }), { type: 'block-stop', index }];
  }

  #text(kind: 'text' | 'refusal' | 'reasoning', text: string | undefined): NeutralEvent[] {
    if (text === undefined || text === '') return [];
    const events = this.#textual?.kind === kind ? [] : [...this.#closeText(), ...this.#openText(kind)];
    const index = this.#textual?.block ?? 0;
    return [...events, { type: 'block-delta', index, delta: { type: 'text', text } }];
  }

  #openText(kind: 'text' | 'refusal' | 'reasoning'): NeutralEvent[] {
    this.#textual = { kind, block: this.#blocks };
    return [this.#open({ kind })];
  }

  #open(block: BlockStart): NeutralEvent {
    return { type: 'block-start', index: this.#blocks++, block };
  }

  #closeText(): NeutralEvent[] {
    if (this.#textual === undefined) return [];
    const { block } = this.#textual;
    this.#textual = undefined;
    return [{ type: 'block-stop', index: block }];
  }

  #annotation(annotation: JsonObject): NeutralEvent[] {
    const cited = asObject(annotation.url_citation);
    if (cited === undefined || this.#textual?.kind !== 'text') return [];
    const citation = {
      url: asString(cited.url),
      title: asString(cited.title),
      start: asNumber(cited.start_index),
      end: asNumber(cited.end_index),
    };
    return [{ type: 'block-delta', index: this.#textual.block, delta: { type: 'citation', citation } }];
  }

  /** Some vendors number every call 0: a new id with a name is a new call. */
  #call(call: JsonObject, index: number): NeutralEvent[] {
    const custom = asObject(call.custom);
    const named = custom ?? asObject(call.function);
    const id = asString(call.id) || undefined;
    const name = asString(named?.name);
    const known = this.#calls.get(index);
    const isNew = known === undefined || (id !== undefined && name !== undefined && id !== known.id);
    const text = asString(custom === undefined ? named?.arguments : named?.input) ?? '';
    if (!isNew) return this.#arguments(known, text);
    if (name === undefined) return []; // a call that nobody can name cannot be made
    const events = [...this.#closeText(), ...this.#closeCall()];
    const opened: OpenCall = { block: this.#blocks, id, arguments: '' };
    this.#calls.set(index, opened);
    this.#lastCall = opened;
    const block: BlockStart = {
      kind: 'tool-call',
      id: id ?? `call_${this.#id.slice(-16)}_${this.#blocks}`,
      name: this.#names.original(name),
      input: custom === undefined ? 'json' : 'text',
    };
    return [...events, this.#open(block), ...this.#arguments(opened, text)];
  }

  #arguments(call: OpenCall, text: string): NeutralEvent[] {
    if (text === '') return [];
    call.arguments += text;
    return [{ type: 'block-delta', index: call.block, delta: { type: 'text', text } }];
  }

  /** The call before is done when its arguments are; else it may go on, and the next one waits in the guard. */
  #closeCall(): NeutralEvent[] {
    const last = this.#lastCall;
    if (last === undefined || !isWholeJson(last.arguments)) return [];
    return [{ type: 'block-stop', index: last.block }];
  }
}

function isWholeJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
