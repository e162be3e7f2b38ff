import type { SseLimits } from '@strata/shared/http/sse-scanner.ts';
import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, NeutralEvent } from '../../domain/neutral-event.ts';
import type { NeutralRequest } from '../../domain/neutral-request.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { sseDecoder } from '../sse-decoder.ts';
import { ToolNames } from '../tool-names.ts';
import { responsesProtocol } from './decode-request.ts';
import { responsesNameLength } from './encode-request.ts';
import { readResponsesErrorCodes } from './errors.ts';
import { readResponsesUsage } from './usage.ts';

/** Reads response events (spec/llm-protocols 6.2). What they do not say, the item's `done` event says. */
export function openResponsesDecoder(request: NeutralRequest, limits?: SseLimits): StreamDecoder {
  const reader = new ResponsesReader(request);
  return sseDecoder({ read: (data, name) => reader.read(data, name), end: () => [] }, limits);
}

export function decodeResponsesAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  return new ResponsesReader(request).readWhole(body);
}

const incompleteReasons: FinishNames = {
  max_output_tokens: 'length',
  content_filter: 'filtered',
};

interface OpenBlock {
  readonly block: number;
  /** What its deltas said so far: `done` events may say more. */
  text: string;
}

class ResponsesReader {
  readonly #names: ToolNames;
  #blocks = 0;
  /** By `output_index` and, for messages, `content_index`. */
  readonly #open = new Map<string, OpenBlock>();
  #summaryIndex = -1;
  #hasCalls = false;

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, responsesNameLength);
  }

  read(event: JsonObject, name: string | undefined): NeutralEvent[] {
    const item = String(asNumber(event.output_index) ?? 0);
    const part = `${item}.${asNumber(event.content_index) ?? 0}`;
    switch (asString(event.type) ?? name) {
      case 'response.created':
        return this.#start(asObject(event.response) ?? {});
      case 'response.output_item.added':
        return this.#added(item, asObject(event.item) ?? {});
      case 'response.output_text.delta':
        return this.#text(part, { kind: 'text' }, asString(event.delta));
      case 'response.refusal.delta':
        return this.#text(part, { kind: 'refusal' }, asString(event.delta));
      case 'response.output_text.done':
        return this.#rest(part, { kind: 'text' }, asString(event.text));
      case 'response.refusal.done':
        return this.#rest(part, { kind: 'refusal' }, asString(event.refusal));
      case 'response.output_text.annotation.added':
        return this.#annotation(part, asObject(event.annotation) ?? {});
      case 'response.reasoning_summary_text.delta':
        return this.#summary(item, asNumber(event.summary_index) ?? 0, asString(event.delta));
      case 'response.reasoning_text.delta':
        return this.#text(item, { kind: 'reasoning' }, asString(event.delta));
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        return this.#text(item, undefined, asString(event.delta));
      case 'response.output_item.done':
        return this.#done(item, asObject(event.item) ?? {});
      case 'response.completed':
      case 'response.incomplete':
        return this.#end(asObject(event.response) ?? {});
      case 'response.failed':
      case 'error':
        return [{ type: 'error', codes: readResponsesErrorCodes(event) }];
      default:
        return [];
    }
  }

  readWhole(response: JsonObject): NeutralEvent[] {
    if (response.error || response.status === 'failed')
      return [{ type: 'error', codes: readResponsesErrorCodes(response) }];
    const items = asObjects(response.output).flatMap((item, index) => [
      ...this.#added(String(index), item),
      ...this.#done(String(index), item),
    ]);
    return [...this.#start(response), ...items, ...this.#end(response)];
  }

  #start(response: JsonObject): NeutralEvent[] {
    return [{ type: 'start', id: asString(response.id), model: asString(response.model) }];
  }

  #added(key: string, item: JsonObject): NeutralEvent[] {
    if (item.type === 'reasoning') return this.#openBlock(key, { kind: 'reasoning' });
    if (item.type !== 'function_call' && item.type !== 'custom_tool_call') return [];
    this.#hasCalls = true;
    return this.#openBlock(key, {
      kind: 'tool-call',
      id: asString(item.call_id) ?? asString(item.id) ?? '',
      name: this.#names.original(asString(item.name) ?? ''),
      input: item.type === 'function_call' ? 'json' : 'text',
    });
  }

  #openBlock(key: string, block: BlockStart): NeutralEvent[] {
    if (this.#open.has(key)) return [];
    const index = this.#blocks++;
    this.#open.set(key, { block: index, text: '' });
    return [{ type: 'block-start', index, block }];
  }

  /** `block`: what to open when the upstream did not. */
  #text(key: string, block: BlockStart | undefined, text: string | undefined): NeutralEvent[] {
    if (!text) return [];
    const opened = block === undefined ? [] : this.#openBlock(key, block);
    const open = this.#open.get(key);
    if (open === undefined) return [];
    open.text += text;
    return [...opened, { type: 'block-delta', index: open.block, delta: { type: 'text', text } }];
  }

  /** The remainder, where `done` carries more than the deltas did. */
  #rest(key: string, block: BlockStart | undefined, whole: string | undefined): NeutralEvent[] {
    if (whole === undefined) return [];
    const said = this.#open.get(key)?.text ?? '';
    return whole.startsWith(said) ? this.#text(key, block, whole.slice(said.length)) : [];
  }

  #summary(key: string, index: number, text: string | undefined): NeutralEvent[] {
    const isNext = index !== this.#summaryIndex && (this.#open.get(key)?.text ?? '') !== '';
    this.#summaryIndex = index;
    return [
      ...(isNext ? this.#text(key, { kind: 'reasoning' }, '\n\n') : []),
      ...this.#text(key, { kind: 'reasoning' }, text),
    ];
  }

  #annotation(key: string, annotation: JsonObject): NeutralEvent[] {
    const open = this.#open.get(key);
    const url = asString(annotation.url);
    if (open === undefined || url === undefined) return [];
    const citation = {
      url,
      title: asString(annotation.title),
      start: asNumber(annotation.start_index),
      end: asNumber(annotation.end_index),
    };
    return [{ type: 'block-delta', index: open.block, delta: { type: 'citation', citation } }];
  }

  #done(key: string, item: JsonObject): NeutralEvent[] {
    switch (item.type) {
      case 'message':
        return this.#messageDone(key, item);
      case 'reasoning':
        return [...this.#reasoningDone(key, item), ...this.#stop(key)];
      case 'function_call':
        return [...this.#rest(key, undefined, asString(item.arguments)), ...this.#stop(key)];
      case 'custom_tool_call':
        return [...this.#rest(key, undefined, asString(item.input)), ...this.#stop(key)];
      default: {
        const name = asString(item.type) ?? 'item';
        const part = { type: 'foreign', protocol: responsesProtocol, name, value: item } as const;
        return this.#openBlock(key, { kind: 'whole', part });
      }
    }
  }

  #messageDone(key: string, item: JsonObject): NeutralEvent[] {
    return asObjects(item.content).flatMap((part, index) => {
      const at = `${key}.${index}`;
      const isNew = !this.#open.has(at);
      const rest =
        part.type === 'refusal'
          ? this.#rest(at, { kind: 'refusal' }, asString(part.refusal))
          : this.#rest(at, { kind: 'text' }, asString(part.text));
      const cited = isNew
        ? asObjects(part.annotations).flatMap(annotation => this.#annotation(at, annotation))
        : [];
      return [...rest, ...cited, ...this.#stop(at)];
    });
  }

  #reasoningDone(key: string, item: JsonObject): NeutralEvent[] {
    const told = [...asObjects(item.content), ...asObjects(item.summary)];
    const whole = told.map(part => asString(part.text) ?? '').join('\n\n');
    const events = this.#rest(key, { kind: 'reasoning' }, whole);
    const data = asString(item.encrypted_content);
    const open = this.#open.get(key);
    if (!data || open === undefined) return events;
    const seal = { kind: 'openai-encrypted', data, origin: undefined } as const;
    return [...events, { type: 'block-delta', index: open.block, delta: { type: 'seal', seal } }];
  }

  #stop(key: string): NeutralEvent[] {
    const open = this.#open.get(key);
    return open === undefined ? [] : [{ type: 'block-stop', index: open.block }];
  }

  #end(response: JsonObject): NeutralEvent[] {
    const usage = asObject(response.usage);
    const serviceTier = asString(response.service_tier);
    const why = asString(asObject(response.incomplete_details)?.reason);
    const isIncomplete = response.status === 'incomplete';
    const told = finishNamed(incompleteReasons, why);
    const reason = isIncomplete ? told : this.#hasCalls ? 'tool-calls' : 'stop';
    return [
      ...(usage
        ? [{ type: 'usage', report: readResponsesUsage(usage, response.output), serviceTier } as const]
        : []),
      { type: 'finish', reason },
    ];
  }
}
