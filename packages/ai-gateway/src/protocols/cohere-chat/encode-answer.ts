import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { AnswerContext, StreamEncoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, Part, ReasoningPart } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { load } from '../carrier.ts';
import { asObject } from '../read-json.ts';
import { cohereProtocol } from './decode-request.ts';
import { writeCohereUsage } from './usage.ts';

const finishNames: Readonly<Record<FinishReason, string>> = {
  stop: 'COMPLETE',
  'stop-sequence': 'STOP_SEQUENCE',
  length: 'MAX_TOKENS',
  'context-full': 'MAX_TOKENS',
  'tool-calls': 'TOOL_CALL',
  filtered: 'ERROR_TOXIC',
  refused: 'ERROR_TOXIC',
  paused: 'COMPLETE',
  'malformed-call': 'ERROR',
  unknown: 'COMPLETE',
};

/** A refusal's text is text here; the reason says what it is. */
function finishName(reason: FinishReason, hasRefusal: boolean): string {
  return finishNames[hasRefusal && reason === 'stop' ? 'refused' : reason];
}

export function encodeCohereAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject {
  const content = answer.parts.flatMap(contentOf);
  const calls = wholeCalls(answer.parts);
  const citations = answer.parts.flatMap(part => (part.type === 'text' ? (part.citations ?? []) : []));
  return {
    id: context.requestId,
    finish_reason: finishName(
      answer.finish,
      answer.parts.some(part => part.type === 'refusal'),
    ),
    message: {
      role: 'assistant',
      content: content.length > 0 ? content : undefined,
      tool_calls: calls.length > 0 ? calls : undefined,
      citations: citations.length > 0 ? citations.map(writeCitation) : undefined,
    },
    usage: answer.report && writeCohereUsage(answer.report.usage),
  };
}

function contentOf(part: Part): JsonObject[] {
  if (part.type === 'text' || part.type === 'refusal')
    return part.text === '' ? [] : [{ type: 'text', text: part.text }];
  if (part.type === 'reasoning') return part.text === '' ? [] : [{ type: 'thinking', thinking: part.text }];
  return [];
}

/** Sealed reasoning has no place of its own: the next call carries it. */
function wholeCalls(parts: readonly Part[]): JsonObject[] {
  const waiting: ReasoningPart[] = [];
  return parts.flatMap((part): JsonObject[] => {
    if (part.type === 'reasoning' && part.seal !== undefined) waiting.push(part);
    if (part.type !== 'tool-call') return [];
    const { name, input, arguments: text, seal } = part;
    const id = load(part.id, { seal, reasoning: waiting.splice(0) });
    const written = input === 'text' ? JSON.stringify({ input: text }) : text || '{}';
    return [{ id, type: 'function', function: { name, arguments: written } }];
  });
}

function writeCitation({ raw, text, start, end, url, title }: Citation): JsonObject {
  const own = raw?.protocol === cohereProtocol ? asObject(raw.value) : undefined;
  if (own !== undefined) return own;
  const document = { url, title };
  return { start: start ?? 0, end: end ?? 0, text: text ?? '', sources: [{ type: 'document', document }] };
}

type Delta = Extract<NeutralEvent, { type: 'block-delta' }>['delta'];

/** Chat v2 events. Content and calls are numbered apart. */
export class CohereStreamEncoder implements StreamEncoder {
  readonly #context: AnswerContext;
  #block: BlockStart | undefined;
  #reasoning: { text: string; seal: Seal | undefined } = { text: '', seal: undefined };
  /** Sealed reasoning that waits for a call to carry it. */
  #waiting: ReasoningPart[] = [];
  #contents = 0;
  #calls = 0;
  #citations = 0;
  #hasArguments = false;
  #hasRefusal = false;
  #finish: FinishReason = 'unknown';
  #usage: JsonObject | undefined;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  encode(event: NeutralEvent): string {
    switch (event.type) {
      case 'start':
        return frame({
          type: 'message-start',
          id: this.#context.requestId,
          delta: {
            message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] },
          },
        });
      case 'block-start':
        return this.#open(event.block);
      case 'block-delta':
        return this.#delta(event.delta);
      case 'block-stop':
        return this.#close();
      case 'usage':
        this.#usage = writeCohereUsage(event.report.usage);
        return '';
      case 'finish':
        this.#finish = event.reason;
        return '';
      case 'error':
        return '';
    }
  }

  end(): string {
    const delta = { finish_reason: finishName(this.#finish, this.#hasRefusal), usage: this.#usage };
    return `${frame({ type: 'message-end', id: this.#context.requestId, delta })}data: [DONE]\n\n`;
  }

  fail(error: GatewayError): string {
    return cohereErrorEvent(error);
  }

  #open(block: BlockStart): string {
    this.#block = block;
    if (block.kind === 'refusal') this.#hasRefusal = true;
    switch (block.kind) {
      case 'text':
      case 'refusal':
        return this.#content('content-start', { type: 'text', text: '' });
      case 'reasoning':
        this.#reasoning = { text: '', seal: block.seal };
        return this.#content('content-start', { type: 'thinking', thinking: '' });
      case 'tool-call': {
        const id = load(block.id, { seal: block.seal, reasoning: this.#waiting });
        this.#waiting = [];
        this.#hasArguments = false;
        const tool_calls = { id, type: 'function', function: { name: block.name, arguments: '' } };
        return frame({ type: 'tool-call-start', index: this.#calls, delta: { message: { tool_calls } } });
      }
      case 'whole':
        return '';
    }
  }

  #delta(delta: Delta): string {
    if (delta.type === 'seal') {
      if (this.#block?.kind === 'reasoning') this.#reasoning.seal = delta.seal;
      return '';
    }
    if (delta.type === 'citation') {
      const index = this.#citations++;
      const message = { citations: writeCitation(delta.citation) };
      return (
        frame({ type: 'citation-start', index, delta: { message } }) + frame({ type: 'citation-end', index })
      );
    }
    switch (this.#block?.kind) {
      case 'text':
      case 'refusal':
        return this.#content('content-delta', { text: delta.text });
      case 'reasoning':
        this.#reasoning.text += delta.text;
        return this.#content('content-delta', { thinking: delta.text });
      case 'tool-call':
        this.#hasArguments = true;
        return this.#arguments(delta.text);
      default:
        return '';
    }
  }

  #close(): string {
    const kind = this.#block?.kind;
    this.#block = undefined;
    if (kind === 'reasoning' && this.#reasoning.seal !== undefined)
      this.#waiting.push({ type: 'reasoning', ...this.#reasoning });
    if (kind === undefined || kind === 'whole') return '';
    if (kind !== 'tool-call') return frame({ type: 'content-end', index: this.#contents++ });
    // A call without arguments is a call with none; clients parse what they were sent.
    const missing = this.#hasArguments ? '' : this.#arguments('{}');
    return missing + frame({ type: 'tool-call-end', index: this.#calls++ });
  }

  #arguments(text: string): string {
    const message = { tool_calls: { function: { arguments: text } } };
    return frame({ type: 'tool-call-delta', index: this.#calls, delta: { message } });
  }

  #content(type: string, content: JsonObject): string {
    return frame({ type, index: this.#contents, delta: { message: { content } } });
  }
}

/** The event that ends a stream with an error. */
export function cohereErrorEvent(error: GatewayError): string {
  const delta = { finish_reason: 'ERROR', error: error.publicMessage };
  return frame({ type: 'message-end', delta });
}

function frame(event: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
