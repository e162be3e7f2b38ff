import type { StreamDecoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, NeutralRequest } from '../../domain/neutral-request.ts';
import { type FinishNames, finishNamed } from '../finish-reason.ts';
import { asNumber, asObject, asObjects, asString } from '../read-json.ts';
import { sseDecoder } from '../sse-decoder.ts';
import { ToolNames } from '../tool-names.ts';
import { cohereNameLength } from './encode-request.ts';
import { readErrorCodes } from './errors.ts';
import { readCohereUsage } from './usage.ts';

export const cohereFinishReasons: FinishNames = {
  COMPLETE: 'stop',
  STOP_SEQUENCE: 'stop-sequence',
  MAX_TOKENS: 'length',
  TOOL_CALL: 'tool-calls',
  ERROR_TOXIC: 'refused',
  ERROR_LIMIT: 'context-full',
};

function finishOf(name: string): FinishReason {
  return finishNamed(cohereFinishReasons, name);
}

/** Reads Chat v2 events. https://docs.cohere.com/v2/docs/streaming */
export function openCohereDecoder(request: NeutralRequest): StreamDecoder {
  const reader = new CohereReader(request);
  return sseDecoder({
    read: event => reader.read(event),
    readWord: word => (word === '[DONE]' ? [] : undefined),
    end: () => [],
  });
}

export function decodeCohereAnswer(body: JsonObject, request: NeutralRequest): readonly NeutralEvent[] {
  const message = asObject(body.message);
  if (message === undefined) return [{ type: 'error', codes: readErrorCodes(body) }];
  const reader = new CohereReader(request);
  const events = reader.read({ type: 'message-start', id: body.id });
  const plan = asString(message.tool_plan);
  if (plan) events.push(...reader.read({ type: 'tool-plan-delta', delta: { message: { tool_plan: plan } } }));
  for (const [index, content] of asObjects(message.content).entries()) {
    events.push(...reader.read({ type: 'content-start', index, delta: { message: { content } } }));
    for (const citations of asObjects(message.citations).filter(each => (each.content_index ?? 0) === index))
      events.push(...reader.read({ type: 'citation-start', index, delta: { message: { citations } } }));
    events.push(...reader.read({ type: 'content-end', index }));
  }
  for (const [index, call] of asObjects(message.tool_calls).entries()) {
    events.push(...reader.read({ type: 'tool-call-start', index, delta: { message: { tool_calls: call } } }));
    events.push(...reader.read({ type: 'tool-call-end', index }));
  }
  const { finish_reason, usage } = body;
  return [...events, ...reader.read({ type: 'message-end', delta: { finish_reason, usage } })];
}

class CohereReader {
  readonly #names: ToolNames;
  /** `content:0`, `tool:0`, `plan` → the block. */
  readonly #open = new Map<string, number>();
  #blocks = 0;
  #lastText: number | undefined;

  constructor(request: NeutralRequest) {
    this.#names = new ToolNames(request, cohereNameLength);
  }

  read(event: JsonObject): NeutralEvent[] {
    const index = asNumber(event.index) ?? 0;
    const delta = asObject(event.delta);
    const message = asObject(delta?.message);
    switch (event.type) {
      case 'message-start':
        return [{ type: 'start', id: asString(event.id), model: undefined }];
      case 'content-start':
      case 'content-delta':
        return this.#content(`content:${index}`, asObject(message?.content) ?? {});
      case 'content-end':
        return this.#close(`content:${index}`);
      case 'tool-plan-delta':
        return this.#text('plan', 'reasoning', asString(message?.tool_plan) ?? '');
      case 'tool-call-start':
        return [...this.#close('plan'), ...this.#call(`tool:${index}`, callOf(message?.tool_calls))];
      case 'tool-call-delta':
        return this.#arguments(`tool:${index}`, callOf(message?.tool_calls));
      case 'tool-call-end':
        return this.#close(`tool:${index}`);
      case 'citation-start':
        return this.#citation(asObject(message?.citations) ?? {});
      case 'message-end':
        return this.#end(delta ?? {});
      default:
        return event.error === undefined && event.message === undefined
          ? []
          : [{ type: 'error', codes: readErrorCodes(event) }];
    }
  }

  #content(key: string, content: JsonObject): NeutralEvent[] {
    const thinking = asString(content.thinking);
    const isThinking = content.type === 'thinking' || thinking !== undefined;
    return this.#text(key, isThinking ? 'reasoning' : 'text', thinking ?? asString(content.text) ?? '');
  }

  #text(key: string, kind: 'text' | 'reasoning', text: string): NeutralEvent[] {
    const begun = this.#open.has(key) ? [] : [this.#begin(key, { kind })];
    const index = this.#open.get(key) ?? 0;
    if (kind === 'text') this.#lastText = index;
    return text === '' ? begun : [...begun, { type: 'block-delta', index, delta: { type: 'text', text } }];
  }

  #begin(key: string, block: BlockStart): NeutralEvent {
    const index = this.#blocks++;
    this.#open.set(key, index);
    return { type: 'block-start', index, block };
  }

  #close(key: string): NeutralEvent[] {
    const index = this.#open.get(key);
    this.#open.delete(key);
    return index === undefined ? [] : [{ type: 'block-stop', index }];
  }

  #call(key: string, call: JsonObject): NeutralEvent[] {
    const named = asObject(call.function);
    const block: BlockStart = {
      kind: 'tool-call',
      id: asString(call.id) || `call_${this.#blocks}`,
      name: this.#names.original(asString(named?.name) ?? ''),
      input: 'json',
    };
    return [this.#begin(key, block), ...this.#arguments(key, call)];
  }

  #arguments(key: string, call: JsonObject): NeutralEvent[] {
    const text = asString(asObject(call.function)?.arguments) ?? '';
    const index = this.#open.get(key);
    if (text === '' || index === undefined) return [];
    return [{ type: 'block-delta', index, delta: { type: 'text', text } }];
  }

  #citation(written: JsonObject): NeutralEvent[] {
    if (this.#lastText === undefined) return [];
    const citation = readCitation(written);
    return [{ type: 'block-delta', index: this.#lastText, delta: { type: 'citation', citation } }];
  }

  #end(delta: JsonObject): NeutralEvent[] {
    const name = asString(delta.finish_reason) ?? '';
    if (name === 'ERROR' || name === 'TIMEOUT' || delta.error !== undefined)
      return [{ type: 'error', codes: [name === 'TIMEOUT' ? 'timeout_error' : 'server_error'] }];
    const usage = asObject(delta.usage);
    const closed = [...this.#open.keys()].flatMap(key => this.#close(key));
    const reported: NeutralEvent[] = usage ? [{ type: 'usage', report: readCohereUsage(usage) }] : [];
    return [...closed, ...reported, { type: 'finish', reason: finishOf(name) }];
  }
}

/** In a stream one call, in a whole answer a list of them. */
function callOf(calls: unknown): JsonObject {
  return asObject(calls) ?? asObjects(calls)[0] ?? {};
}

function readCitation(citation: JsonObject): Citation {
  const [source] = asObjects(citation.sources);
  const document = asObject(source?.document);
  return {
    text: asString(citation.text),
    start: asNumber(citation.start),
    end: asNumber(citation.end),
    url: asString(document?.url),
    title: asString(document?.title),
    raw: { protocol: 'cohere-chat', value: citation },
  };
}
