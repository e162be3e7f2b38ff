import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { AnswerContext, StreamEncoder } from '../../domain/codec.ts';
import { AnswerFold } from '../../domain/fold-answer.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Part } from '../../domain/neutral-request.ts';
import { annotationOf, outputItem, responseObject } from './response-object.ts';

export function encodeResponsesAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject {
  const output: JsonObject[] = [];
  for (const part of answer.parts) {
    if (isEmpty(part)) continue;
    const item = outputItem(part, context, output.length);
    if (item !== undefined) output.push(item);
  }
  return responseObject(context, { ...answer, output });
}

/** A block of which nothing came, not even a seal. */
function isEmpty(part: Part): boolean {
  return (part.type === 'text' || part.type === 'reasoning') && part.text === '' && part.seal === undefined;
}

type Delta = Extract<NeutralEvent, { type: 'block-delta' }>['delta'];

/** The item that is being made. It is announced when it says something, so that an empty block leaves no trace. */
interface OpenItem {
  readonly block: BlockStart;
  readonly fold: AnswerFold;
  /** Set when it is announced. */
  id: unknown;
  isAnnounced: boolean;
  annotations: number;
}

/** Every event is numbered, items come in order with dense indexes, and the last event holds the whole response. */
export class ResponsesStreamEncoder implements StreamEncoder {
  readonly #context: AnswerContext;
  readonly #output: JsonObject[] = [];
  #sequence = 0;
  #model: string | undefined;
  #isStarted = false;
  #item: OpenItem | undefined;
  #usage: Extract<NeutralEvent, { type: 'usage' }> | undefined;
  #finish: Extract<NeutralEvent, { type: 'finish' }>['reason'] = 'unknown';

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  encode(event: NeutralEvent): string {
    switch (event.type) {
      case 'start':
        this.#model = event.model;
        return this.#start();
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
        this.#finish = event.reason;
        return '';
      case 'error':
        return '';
    }
  }

  end(): string {
    const response = this.#response(this.#finish);
    return this.#event(`response.${response.status}`, { response });
  }

  /** Both, as the vendor does: SDKs throw at the first, agents that keep the answer's state wait for the second. */
  fail(error: GatewayError): string {
    const { reason: code, publicMessage: message, param = null } = error;
    const response = responseObject(this.#context, {
      model: this.#model,
      output: this.#output,
      finish: undefined,
      error: { code, message },
    });
    return (
      this.#start() +
      this.#event('error', { code, message, param }) +
      this.#event('response.failed', { response })
    );
  }

  #response(finish: NeutralAnswer['finish'] | undefined): JsonObject {
    const { report, serviceTier } = this.#usage ?? {};
    const output = [...this.#output];
    return responseObject(this.#context, { model: this.#model, output, finish, report, serviceTier });
  }

  #event(type: string, members: JsonObject): string {
    const data = { type, sequence_number: this.#sequence++, ...members };
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  /** The SDK wants `response.created` first of all, even before a failure. */
  #start(): string {
    if (this.#isStarted) return '';
    this.#isStarted = true;
    const response = this.#response(undefined);
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response });
  }

  #open(block: BlockStart): string {
    const fold = new AnswerFold();
    fold.add({ type: 'block-start', index: 0, block });
    this.#item = { block, fold, id: undefined, isAnnounced: false, annotations: 0 };
    return block.kind === 'tool-call' ? this.#announce(this.#item) : '';
  }

  #announce(item: OpenItem): string {
    if (item.isAnnounced) return '';
    item.isAnnounced = true;
    const whole = this.#whole(item);
    item.id = whole.id;
    const at = { output_index: this.#output.length };
    return (
      this.#event('response.output_item.added', { ...at, item: emptied(whole) }) + this.#partAdded(whole)
    );
  }

  #whole({ fold }: OpenItem): JsonObject {
    const [part] = fold.answer().parts;
    return (part && outputItem(part, this.#context, this.#output.length)) ?? {};
  }

  /** Where in the item a message's part or a reasoning's summary is: there is one of it. */
  #at(item: { readonly id?: unknown }): JsonObject {
    return { item_id: item.id, output_index: this.#output.length };
  }

  #partAdded(item: JsonObject): string {
    if (item.type === 'message') {
      const part = emptyPart(partOf(item));
      return this.#event('response.content_part.added', { ...this.#at(item), content_index: 0, part });
    }
    if (item.type !== 'reasoning') return '';
    return this.#event('response.reasoning_summary_part.added', {
      ...this.#at(item),
      summary_index: 0,
      part: { type: 'summary_text', text: '' },
    });
  }

  #delta(delta: Delta): string {
    const item = this.#item;
    if (item === undefined) return '';
    if (delta.type === 'text') {
      const announced = this.#announce(item);
      item.fold.add({ type: 'block-delta', index: 0, delta });
      return announced + this.#textDelta(item, delta.text);
    }
    item.fold.add({ type: 'block-delta', index: 0, delta });
    const annotation = delta.type === 'citation' ? annotationOf(delta.citation) : undefined;
    if (annotation === undefined || !item.isAnnounced) return '';
    return this.#event('response.output_text.annotation.added', {
      ...this.#at(item),
      content_index: 0,
      annotation_index: item.annotations++,
      annotation,
    });
  }

  #textDelta(item: OpenItem, delta: string): string {
    const at = this.#at(item);
    switch (item.block.kind) {
      case 'text':
        return this.#event('response.output_text.delta', { ...at, content_index: 0, delta, logprobs: [] });
      case 'refusal':
        return this.#event('response.refusal.delta', { ...at, content_index: 0, delta });
      case 'reasoning':
        return this.#event('response.reasoning_summary_text.delta', { ...at, summary_index: 0, delta });
      case 'tool-call':
        return this.#event(
          item.block.input === 'text'
            ? 'response.custom_tool_call_input.delta'
            : 'response.function_call_arguments.delta',
          { ...at, delta },
        );
      case 'whole':
        return '';
    }
  }

  #close(): string {
    const open = this.#item;
    this.#item = undefined;
    if (open === undefined) return '';
    const item = this.#whole(open);
    const [part] = open.fold.answer().parts;
    if (part === undefined || isEmpty(part) || item.type === undefined) return '';
    // Reasoning of which only the seal came has no summary to announce.
    const silent = open.isAnnounced
      ? ''
      : this.#event('response.output_item.added', {
          output_index: this.#output.length,
          item: emptied(item),
        });
    const done = open.isAnnounced ? this.#partDone(item) : '';
    const ended = this.#event('response.output_item.done', { output_index: this.#output.length, item });
    this.#output.push(item);
    return silent + done + ended;
  }

  #partDone(item: JsonObject): string {
    const at = this.#at(item);
    switch (item.type) {
      case 'message': {
        const part = partOf(item);
        const inPart = { ...at, content_index: 0 };
        const said =
          part.type === 'refusal'
            ? this.#event('response.refusal.done', { ...inPart, refusal: part.refusal })
            : this.#event('response.output_text.done', { ...inPart, text: part.text, logprobs: [] });
        return said + this.#event('response.content_part.done', { ...inPart, part });
      }
      case 'reasoning': {
        const [part = { text: '' }] = item.summary as readonly { readonly text: string }[]; // written in response-object.ts
        const inPart = { ...at, summary_index: 0 };
        return (
          this.#event('response.reasoning_summary_text.done', { ...inPart, text: part.text }) +
          this.#event('response.reasoning_summary_part.done', { ...inPart, part })
        );
      }
      case 'function_call':
        return this.#event('response.function_call_arguments.done', {
          ...at,
          name: item.name,
          arguments: item.arguments,
        });
      case 'custom_tool_call':
        return this.#event('response.custom_tool_call_input.done', { ...at, input: item.input });
      default:
        return '';
    }
  }
}

function partOf(item: JsonObject): JsonObject {
  const [part = {}] = item.content as readonly JsonObject[]; // written in response-object.ts
  return part;
}

function emptyPart(part: JsonObject): JsonObject {
  return part.type === 'refusal' ? { ...part, refusal: '' } : { ...part, text: '', annotations: [] };
}

function emptied(item: JsonObject): JsonObject {
  switch (item.type) {
    case 'message':
      return { ...item, status: 'in_progress', content: [] };
    case 'reasoning':
      return { ...item, summary: [] };
    case 'function_call':
      return { ...item, status: 'in_progress', arguments: '' };
    case 'custom_tool_call':
      return { ...item, input: '' };
    case 'image_generation_call':
      return { ...item, status: 'in_progress', result: null };
    default:
      return item;
  }
}
