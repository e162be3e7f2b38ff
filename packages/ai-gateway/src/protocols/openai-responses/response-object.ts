import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { AnswerContext } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { FinishReason } from '../../domain/neutral-event.ts';
import type { Citation, Part } from '../../domain/neutral-request.ts';
import { load, loadSeal } from '../carrier.ts';
import { asObject } from '../read-json.ts';
import { tierNamed } from '../service-tier.ts';
import { responsesProtocol } from './decode-request.ts';
import { writeResponsesUsage } from './usage.ts';

export function responseId(requestId: string): string {
  return `resp_${requestId}`;
}

/** `msg_…`, `rs_…`, `fc_…`: tells of which response it is, so that it can be found by it. */
function itemId(prefix: string, context: AnswerContext, index: number): string {
  return `${prefix}_${context.requestId}_${index}`;
}

const itemIdPattern = /^(?:msg|rs|fc|ctc|ig)_(req_[A-Za-z0-9]{1,64})_\d{1,6}$/;

export interface ItemPlace {
  readonly responseId: string;
}

/** Undefined for ids that the gateway did not make. */
export function placeOfItem(id: string): ItemPlace | undefined {
  const requestId = itemIdPattern.exec(id)?.[1];
  return requestId === undefined ? undefined : { responseId: responseId(requestId) };
}

/** A part as an item of the output; undefined for what this protocol has no item for. */
export function outputItem(part: Part, context: AnswerContext, index: number): JsonObject | undefined {
  switch (part.type) {
    case 'text': {
      const annotations = (part.citations ?? []).flatMap(each => annotationOf(each) ?? []);
      const content = [{ type: 'output_text', text: part.text, annotations, logprobs: [] }];
      return message(context, index, content);
    }
    case 'refusal':
      return message(context, index, [{ type: 'refusal', refusal: part.text }]);
    case 'reasoning':
      return {
        type: 'reasoning',
        id: itemId('rs', context, index),
        summary: part.text === '' ? [] : [{ type: 'summary_text', text: part.text }],
        encrypted_content: loadSeal(part.seal),
      };
    case 'tool-call': {
      const ids = {
        id: itemId(part.input === 'text' ? 'ctc' : 'fc', context, index),
        call_id: load(part.id, { seal: part.seal, reasoning: [] }),
        name: part.name,
      };
      if (part.input === 'text') return { type: 'custom_tool_call', ...ids, input: part.arguments };
      return { type: 'function_call', ...ids, arguments: part.arguments || '{}', status: 'completed' };
    }
    case 'image':
      if (part.source.type !== 'data') return undefined;
      return {
        type: 'image_generation_call',
        id: itemId('ig', context, index),
        status: 'completed',
        result: part.source.data,
        output_format: part.source.mediaType.split('/')[1],
      };
    case 'foreign':
      return part.protocol === responsesProtocol ? asObject(part.value) : undefined;
    default:
      return undefined;
  }
}

function message(context: AnswerContext, index: number, content: readonly JsonObject[]): JsonObject {
  return {
    type: 'message',
    id: itemId('msg', context, index),
    role: 'assistant',
    status: 'completed',
    content,
  };
}

export function annotationOf({ url, title, start, end }: Citation): JsonObject | undefined {
  if (url === undefined) return undefined;
  return { type: 'url_citation', url, title: title ?? url, start_index: start ?? 0, end_index: end ?? 0 };
}

const incomplete: Readonly<Partial<Record<FinishReason, string>>> = {
  length: 'max_output_tokens',
  'context-full': 'max_output_tokens',
  filtered: 'content_filter',
  refused: 'content_filter',
};

export interface ResponseState {
  readonly model: string | undefined;
  readonly output: readonly JsonObject[];
  /** Undefined while the answer is being made. */
  readonly finish: FinishReason | undefined;
  readonly report?: UsageReport | undefined;
  readonly serviceTier?: string | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

/** The whole response as it is at some moment; it repeats what the client asked for, as the API does. */
export function responseObject(context: AnswerContext, state: ResponseState): JsonObject {
  const { written = {} } = context.request;
  const { finish, report, output } = state;
  const hasRefusal = JSON.stringify(output.at(-1)?.content ?? null).includes('"type":"refusal"');
  const why = finish === undefined || hasRefusal ? undefined : incomplete[finish];
  const createdAt = Math.floor(context.nowMs / 1000);
  const ended = why === undefined ? 'completed' : 'incomplete';
  return {
    id: responseId(context.requestId),
    object: 'response',
    created_at: createdAt,
    completed_at: ended === 'completed' && finish !== undefined ? createdAt : null,
    status: state.error ? 'failed' : finish === undefined ? 'in_progress' : ended,
    background: false,
    error: state.error ?? null,
    incomplete_details: why === undefined ? null : { reason: why },
    instructions: written.instructions ?? null,
    max_output_tokens: written.max_output_tokens ?? null,
    max_tool_calls: written.max_tool_calls ?? null,
    model: state.model ?? context.alias,
    output,
    parallel_tool_calls: written.parallel_tool_calls !== false,
    previous_response_id: written.previous_response_id ?? null,
    prompt_cache_key: written.prompt_cache_key ?? null,
    reasoning: { effort: null, summary: null, ...asObject(written.reasoning) },
    safety_identifier: written.safety_identifier ?? null,
    service_tier: tierNamed(state.serviceTier ?? 'default'),
    store: written.store !== false,
    temperature: written.temperature ?? 1,
    text: { format: { type: 'text' }, ...asObject(written.text) },
    tool_choice: written.tool_choice ?? 'auto',
    tools: written.tools ?? [],
    top_logprobs: 0,
    top_p: written.top_p ?? 1,
    truncation: written.truncation ?? 'disabled',
    usage: report ? writeResponsesUsage(report.usage) : null,
    user: written.user ?? null,
    metadata: written.metadata ?? {},
  };
}
