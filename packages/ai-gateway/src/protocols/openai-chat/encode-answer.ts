import { openaiErrorEvent } from '@strata/shared/errors/openai.ts';
import { inputTokens, outputTokens, type Usage } from '@strata/shared/money/usage.ts';
import type { AnswerContext, StreamEncoder } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { BlockStart, FinishReason, NeutralAnswer, NeutralEvent } from '../../domain/neutral-event.ts';
import type { Citation, Part, ReasoningPart } from '../../domain/neutral-request.ts';
import type { Seal } from '../../domain/seal.ts';
import { load } from '../carrier.ts';
import { urlOfSource } from '../media.ts';
import { tierNamed } from '../service-tier.ts';
import { asksByFunctions } from './functions.ts';

const finishNames: Readonly<Record<FinishReason, string>> = {
  stop: 'stop',
  'stop-sequence': 'stop',
  length: 'length',
  'context-full': 'length',
  'tool-calls': 'tool_calls',
  filtered: 'content_filter',
  refused: 'content_filter',
  paused: 'stop',
  'malformed-call': 'stop',
  unknown: 'stop',
};

export function writeChatUsage(usage: Usage): JsonObject {
  const prompt = inputTokens(usage);
  const completion = outputTokens(usage);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: {
      cached_tokens: usage.cacheRead,
      cache_write_tokens: usage.cacheWrite + usage.cacheWrite1h,
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoning },
  };
}

function chatFinish(reason: FinishReason, hasRefusal: boolean, isOfOld: boolean): string {
  if (isOfOld && reason === 'tool-calls') return 'function_call';
  return reason === 'refused' && hasRefusal ? 'stop' : finishNames[reason];
}

function annotationOf({ url, title, start, end }: Citation): JsonObject | undefined {
  if (url === undefined) return undefined;
  return {
    type: 'url_citation',
    url_citation: { url, title: title ?? url, start_index: start ?? 0, end_index: end ?? 0 },
  };
}

/** OpenAI has no field for pictures beside a text; this is the one of OpenRouter, which clients of routers read. */
function imageOf(part: Part): JsonObject | undefined {
  if (part.type !== 'image') return undefined;
  const url = urlOfSource(part.source);
  return url === undefined ? undefined : { type: 'image_url', image_url: { url } };
}

/** A whole completion. Reasoning has no field of the protocol; its text is in `reasoning_content`, its seal in the calls' ids. */
export function encodeChatAnswer(answer: NeutralAnswer, context: AnswerContext): JsonObject {
  const { parts, report } = answer;
  const refusal = textOf(parts, 'refusal');
  const annotations = parts.flatMap(part =>
    part.type === 'text' ? (part.citations ?? []).flatMap(each => annotationOf(each) ?? []) : [],
  );
  const calls = wholeCalls(parts);
  const images = parts.flatMap(part => imageOf(part) ?? []);
  const isOfOld = asksByFunctions(context.request.written);
  return {
    id: completionId(context),
    object: 'chat.completion',
    created: Math.floor(context.nowMs / 1000),
    model: answer.model ?? context.alias,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: textOf(parts, 'text') ?? null,
          refusal: refusal ?? null,
          reasoning_content: textOf(parts, 'reasoning') || undefined,
          tool_calls: calls.length > 0 && !isOfOld ? calls : undefined,
          function_call: isOfOld ? calls[0]?.function : undefined,
          annotations: annotations.length > 0 ? annotations : undefined,
          images: images.length > 0 ? images : undefined,
        },
        logprobs: null,
        finish_reason: chatFinish(answer.finish, refusal !== undefined, isOfOld),
      },
    ],
    usage: report && writeChatUsage(report.usage),
    service_tier: answer.serviceTier === undefined ? undefined : tierNamed(answer.serviceTier),
  };
}

/** All that the parts of one kind say; undefined where there is none. */
function textOf(parts: readonly Part[], type: 'text' | 'refusal' | 'reasoning'): string | undefined {
  let text: string | undefined;
  for (const part of parts) if (part.type === type) text = (text ?? '') + part.text;
  return text;
}

function wholeCalls(parts: readonly Part[]): JsonObject[] {
  const waiting: ReasoningPart[] = [];
  return parts.flatMap((part): JsonObject[] => {
    if (part.type === 'reasoning' && part.seal !== undefined) waiting.push(part);
    if (part.type !== 'tool-call') return [];
    const id = load(part.id, { seal: part.seal, reasoning: waiting.splice(0) });
    if (part.input === 'text')
      return [{ id, type: 'custom', custom: { name: part.name, input: part.arguments } }];
    return [{ id, type: 'function', function: { name: part.name, arguments: part.arguments || '{}' } }];
  });
}

function completionId(context: AnswerContext): string {
  return `chatcmpl-${context.requestId}`;
}

export class ChatStreamEncoder implements StreamEncoder {
  readonly #context: AnswerContext;
  readonly #isOfOld: boolean;
  #head = '';
  #block: BlockStart | undefined;
  #reasoning: { text: string; seal: Seal | undefined } = { text: '', seal: undefined };
  /** Sealed reasoning that waits for a call to carry it. */
  #waiting: ReasoningPart[] = [];
  #calls = 0;
  #images = 0;
  #hasArguments = false;
  #hasRefusal = false;
  #usage: Extract<NeutralEvent, { type: 'usage' }> | undefined;

  constructor(context: AnswerContext) {
    this.#context = context;
    this.#isOfOld = asksByFunctions(context.request.written);
  }

  encode(event: NeutralEvent): string {
    switch (event.type) {
      case 'start':
        return this.#start(event.model);
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
        return this.#chunk({}, chatFinish(event.reason, this.#hasRefusal, this.#isOfOld));
      case 'error':
        return '';
    }
  }

  end(): string {
    const { wantsStreamUsage } = this.#context;
    if (!wantsStreamUsage || this.#usage === undefined) return 'data: [DONE]\n\n';
    const usage = JSON.stringify(writeChatUsage(this.#usage.report.usage));
    return `data: ${this.#head},"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`;
  }

  fail(error: Parameters<typeof openaiErrorEvent>[0]): string {
    return openaiErrorEvent(error);
  }

  #start(model: string | undefined): string {
    const { alias, nowMs } = this.#context;
    const base = {
      id: completionId(this.#context),
      object: 'chat.completion.chunk',
      created: Math.floor(nowMs / 1000),
      model: model ?? alias,
    };
    this.#head = JSON.stringify(base).slice(0, -1);
    return this.#chunk({ role: 'assistant', content: '' });
  }

  #chunk(delta: JsonObject, finish?: string): string {
    const choice = JSON.stringify({ index: 0, delta, logprobs: null, finish_reason: finish ?? null });
    const usage = this.#context.wantsStreamUsage ? ',"usage":null' : '';
    return `data: ${this.#head},"choices":[${choice}]${usage}}\n\n`;
  }

  #open(block: BlockStart): string {
    this.#block = block;
    if (block.kind === 'reasoning') this.#reasoning = { text: '', seal: block.seal };
    if (block.kind === 'whole') return this.#image(imageOf(block.part));
    if (block.kind !== 'tool-call') return '';
    this.#hasArguments = false;
    const id = load(block.id, { seal: block.seal, reasoning: this.#waiting });
    this.#waiting = [];
    const index = this.#calls++;
    const { name } = block;
    if (this.#isOfOld) return this.#functionCall({ name, arguments: '' });
    const call =
      block.input === 'text'
        ? { index, id, type: 'custom', custom: { name, input: '' } }
        : { index, id, type: 'function', function: { name, arguments: '' } };
    return this.#chunk({ tool_calls: [call] });
  }

  #image(image: JsonObject | undefined): string {
    return image === undefined ? '' : this.#chunk({ images: [{ index: this.#images++, ...image }] });
  }

  #delta(delta: Extract<NeutralEvent, { type: 'block-delta' }>['delta']): string {
    if (delta.type === 'seal') {
      if (this.#block?.kind === 'reasoning') this.#reasoning.seal = delta.seal;
      return '';
    }
    if (delta.type === 'citation') {
      const annotation = annotationOf(delta.citation);
      return annotation === undefined ? '' : this.#chunk({ annotations: [annotation] });
    }
    switch (this.#block?.kind) {
      case 'text':
        return this.#chunk({ content: delta.text });
      case 'refusal':
        this.#hasRefusal = true;
        return this.#chunk({ refusal: delta.text });
      case 'reasoning':
        this.#reasoning.text += delta.text;
        return this.#chunk({ reasoning_content: delta.text });
      case 'tool-call':
        this.#hasArguments = true;
        return this.#arguments(this.#block.input, delta.text);
      default:
        return '';
    }
  }

  /** Of several calls, which were not asked for, the first. */
  #functionCall(call: JsonObject): string {
    return this.#calls > 1 ? '' : this.#chunk({ function_call: call });
  }

  #arguments(input: 'json' | 'text', text: string): string {
    if (this.#isOfOld) return this.#functionCall({ arguments: text });
    const index = this.#calls - 1;
    const call =
      input === 'text' ? { index, custom: { input: text } } : { index, function: { arguments: text } };
    return this.#chunk({ tool_calls: [call] });
  }

  #close(): string {
    const block = this.#block;
    this.#block = undefined;
    if (block?.kind === 'reasoning' && this.#reasoning.seal !== undefined) {
      const { text, seal } = this.#reasoning;
      this.#waiting.push({ type: 'reasoning', text, seal });
    }
    // A call without arguments is a call with none; clients parse what they were sent.
    return block?.kind === 'tool-call' && block.input === 'json' && !this.#hasArguments
      ? this.#arguments('json', '{}')
      : '';
  }
}
