import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, NeutralEvent } from '../../domain/neutral-event.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { sseDecoder } from '../sse-decoder.ts';
import { ToolNames } from '../tool-names.ts';
import { readCitation } from './citations.ts';
import { messagesProtocol } from './decode-request.ts';
import { messagesNameLength } from './encode-request.ts';
import { readErrorCodes } from './errors.ts';
import { mergeUsage, readAnthropicUsage } from './usage.ts';

export const messagesStopReasons: FinishNames = {
  end_turn: 'stop',
  max_tokens: 'length',
  stop_sequence: 'stop-sequence',
  tool_use: 'tool-calls',
  pause_turn: 'paused',
  refusal: 'refused',
  model_context_window_exceeded: 'context-full',
};

/** Reads message events (spec/llm-protocols 6.3); unknown ones say nothing. */
export function openMessagesDecoder(request: NeutralRequest): StreamDecoder {
  const reader = new MessagesReader(request);
  return sseDecoder({ read: data => reader.read(data), end: () => [] });
}

export function decodeMessagesAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  return new MessagesReader(request).readWhole(body);
}

/** Also reads what Bedrock and Vertex wrap: the events are the same. */
export class MessagesReader {
  readonly #names: ToolNames;
  #usage: JsonObject = {};
  #finish: Extract<NeutralEvent, { type: 'finish' }> | undefined;

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, messagesNameLength);
  }

  read(event: JsonObject): NeutralEvent[] {
    const index = asNumber(event.index) ?? 0;
    switch (event.type) {
      case 'message_start':
        return this.#start(asObject(event.message) ?? {});
      case 'content_block_start':
        return this.#block(index, asObject(event.content_block) ?? {});
      case 'content_block_delta':
        return this.#delta(index, asObject(event.delta) ?? {});
      case 'content_block_stop':
        return [{ type: 'block-stop', index }];
      case 'message_delta':
        this.#usage = mergeUsage(this.#usage, asObject(event.usage) ?? {});
        this.#readFinish(asObject(event.delta) ?? {});
        return [];
      case 'message_stop':
        return this.#end();
      case 'error':
        return [{ type: 'error', codes: readErrorCodes(event) }];
      default:
        return [];
    }
  }

  /** A whole message says the same at once. */
  readWhole(message: JsonObject): NeutralEvent[] {
    if (message.type === 'error' || message.error) return [{ type: 'error', codes: readErrorCodes(message) }];
    const events = this.#start(message);
    for (const [index, block] of asObjects(message.content).entries()) {
      events.push({ type: 'block-start', index, block: this.#blockStart(block) });
      events.push(...this.#wholeContent(index, block), { type: 'block-stop', index });
    }
    this.#readFinish(message);
    events.push(...this.#end());
    return events;
  }

  #start(message: JsonObject): NeutralEvent[] {
    this.#usage = asObject(message.usage) ?? {};
    const usage = message.usage === undefined ? undefined : readAnthropicUsage(this.#usage);
    return [{ type: 'start', id: asString(message.id), model: asString(message.model), usage }];
  }

  #readFinish(from: JsonObject): void {
    const written = asString(from.stop_reason);
    if (written === undefined) return;
    const reason = finishNamed(messagesStopReasons, written);
    const stopSequence = asString(from.stop_sequence);
    this.#finish = { type: 'finish', reason, stopSequence };
  }

  #end(): NeutralEvent[] {
    if (this.#finish === undefined) return [];
    const serviceTier = asString(this.#usage.service_tier);
    const hasUsage = Object.values(this.#usage).some(value => value !== null);
    const usage: NeutralEvent[] = hasUsage
      ? [{ type: 'usage', report: readAnthropicUsage(this.#usage), serviceTier }]
      : [];
    return [...usage, this.#finish];
  }

  #block(index: number, block: JsonObject): NeutralEvent[] {
    const start = this.#blockStart(block);
    const events: NeutralEvent[] = [{ type: 'block-start', index, block: start }];
    const text = asString(block.text) ?? asString(block.thinking);
    if (text && start.kind !== 'whole')
      events.push({ type: 'block-delta', index, delta: { type: 'text', text } });
    return events;
  }

  #blockStart(block: JsonObject): BlockStart {
    switch (block.type) {
      case 'text':
        return { kind: 'text' };
      case 'thinking':
        return { kind: 'reasoning' };
      case 'redacted_thinking': {
        const data = asString(block.data) ?? '';
        return { kind: 'reasoning', seal: { kind: 'anthropic-redacted', data, origin: undefined } };
      }
      case 'tool_use': {
        const name = this.#names.original(asString(block.name) ?? '');
        return { kind: 'tool-call', id: asString(block.id) ?? '', name, input: 'json' };
      }
      default: {
        const name = asString(block.type) ?? 'block';
        return { kind: 'whole', part: { type: 'foreign', protocol: messagesProtocol, name, value: block } };
      }
    }
  }

  #delta(index: number, delta: JsonObject): NeutralEvent[] {
    const text = asString(delta.text) ?? asString(delta.thinking) ?? asString(delta.partial_json);
    if (text !== undefined) {
      return text === '' ? [] : [{ type: 'block-delta', index, delta: { type: 'text', text } }];
    }
    if (delta.type === 'signature_delta') {
      const data = asString(delta.signature) ?? '';
      const seal = { kind: 'anthropic-signature', data, origin: undefined } as const;
      return data === '' ? [] : [{ type: 'block-delta', index, delta: { type: 'seal', seal } }];
    }
    const citation = delta.type === 'citations_delta' ? asObject(delta.citation) : undefined;
    if (citation === undefined) return [];
    return [{ type: 'block-delta', index, delta: { type: 'citation', citation: readCitation(citation) } }];
  }

  #wholeContent(index: number, block: JsonObject): NeutralEvent[] {
    const signature = asString(block.signature);
    return [
      ...this.#delta(index, { text: asString(block.text), thinking: asString(block.thinking) }),
      ...(block.type === 'tool_use'
        ? this.#delta(index, { partial_json: JSON.stringify(block.input ?? {}) })
        : []),
      ...(signature ? this.#delta(index, { type: 'signature_delta', signature }) : []),
      ...asObjects(block.citations).flatMap(citation =>
        this.#delta(index, { type: 'citations_delta', citation }),
      ),
    ];
  }
}
