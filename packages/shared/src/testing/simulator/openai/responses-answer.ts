import type { Response, ResponseOutputItem, ResponseStreamEvent } from 'openai/resources/responses/responses';
import type { Composed, Desk } from '../http/protocol.ts';
import { type Block, piecesOf, tokensOf } from '../model/compose-answer.ts';
import { encryptedPrefix, type ResponsesRequest } from './responses-request.ts';

export interface ResponseParts {
  readonly body: ResponsesRequest;
  readonly composed: Composed;
  /** The answer as it is when it is complete. */
  readonly response: WireResponse;
}

/** As it is on the wire: `output_text` is put there by the SDK, and a few fields may be absent. */
export type WireResponse = Omit<Response, 'output_text' | 'usage'> & { usage: Response['usage'] | null };

export function wholeResponse(body: ResponsesRequest, composed: Composed, desk: Desk): WireResponse {
  const createdAt = Math.floor(desk.clock.now() / 1000);
  const isCut = composed.finish === 'length' || composed.finish === 'filter';
  return {
    id: desk.ids.next('resp_', 48).toLowerCase(),
    object: 'response',
    created_at: createdAt,
    completed_at: createdAt,
    status: isCut ? 'incomplete' : 'completed',
    access_programs: null,
    background: false,
    error: null,
    incomplete_details: isCut
      ? { reason: composed.finish === 'length' ? 'max_output_tokens' : 'content_filter' }
      : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    model: body.model,
    output: composed.blocks.map((block, index) =>
      itemOf(block, {
        body,
        desk,
        isCut: isCut && index === composed.blocks.length - 1,
      }),
    ),
    parallel_tool_calls: body.parallel_tool_calls !== false,
    previous_response_id: body.previous_response_id ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: 'default',
    temperature: body.temperature ?? 1,
    text: { format: { type: 'text' }, verbosity: 'medium', ...body.text } as Response['text'] & object, // As the request had it.
    tool_choice: (body.tool_choice ?? 'auto') as Response['tool_choice'],
    tools: (body.tools ?? []) as Response['tools'],
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    usage: composed.hidesUsage ? null : usageOf(composed),
    metadata: body.metadata ?? {},
  };
}

function usageOf({ usage }: Composed): Response['usage'] & object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: {
      cached_tokens: usage.cacheReadTokens,
      cache_write_tokens: usage.cacheWriteTokens,
    },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.thinkingTokens },
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
}

function itemOf(
  block: Block,
  { body, desk, isCut }: { readonly body: ResponsesRequest; readonly desk: Desk; readonly isCut: boolean },
): ResponseOutputItem {
  const status = isCut ? 'incomplete' : 'completed';
  switch (block.type) {
    case 'thinking':
      return {
        type: 'reasoning',
        id: desk.ids.next('rs_', 48).toLowerCase(),
        summary: body.reasoning?.summary == null ? [] : [{ type: 'summary_text', text: block.text }],
        ...(body.include?.includes('reasoning.encrypted_content')
          ? { encrypted_content: encryptedPrefix + Buffer.from(block.text).toString('base64url') }
          : {}),
      };
    case 'text':
      return {
        type: 'message',
        id: desk.ids.next('msg_', 48).toLowerCase(),
        role: 'assistant',
        status,
        content: [{ type: 'output_text', text: block.text, annotations: [], logprobs: [] }],
      };
    case 'refusal':
      return {
        type: 'message',
        id: desk.ids.next('msg_', 48).toLowerCase(),
        role: 'assistant',
        status,
        content: [{ type: 'refusal', refusal: block.text }],
      };
    case 'call': {
      const ids = { id: desk.ids.next('fc_', 48).toLowerCase(), call_id: desk.ids.next('call_', 24) };
      const isCustom = body.tools?.some(
        tool => tool.type === 'custom' && 'name' in tool && tool.name === block.name,
      );
      if (isCustom) return { type: 'custom_tool_call', ...ids, name: block.name, input: block.arguments };
      return { type: 'function_call', ...ids, name: block.name, arguments: block.arguments, status };
    }
  }
}

type Unnumbered<Event> = Event extends unknown ? Omit<Event, 'sequence_number'> : never;
export interface Step {
  readonly event: Unnumbered<ResponseStreamEvent>;
  readonly tokens: number;
}

/** The events of a stream whose last one holds the complete answer. They still have to be numbered. */
export function* responseEvents({ composed, response }: ResponseParts): Iterable<Step> {
  const started = {
    ...response,
    status: 'in_progress',
    completed_at: null,
    incomplete_details: null,
    output: [],
    usage: null,
  };
  const silent = (event: object): Step => ({ event: event as Step['event'], tokens: 0 }); // Built below as the types say.
  yield silent({ type: 'response.created', response: started });
  yield silent({ type: 'response.in_progress', response: started });
  for (const [index, item] of response.output.entries()) {
    const block = composed.blocks[index];
    if (!block) continue;
    yield silent({ type: 'response.output_item.added', output_index: index, item: emptied(item) });
    for (const step of partEvents(item, block))
      yield { ...step, event: { ...step.event, output_index: index, item_id: item.id } as Step['event'] };
    yield silent({ type: 'response.output_item.done', output_index: index, item });
  }
  const type = response.status === 'incomplete' ? 'response.incomplete' : 'response.completed';
  yield silent({ type, response });
}

function emptied(item: ResponseOutputItem): object {
  if (item.type === 'reasoning') return { ...item, summary: [] };
  if (item.type === 'message') return { ...item, status: 'in_progress', content: [] };
  if (item.type === 'function_call') return { ...item, status: 'in_progress', arguments: '' };
  return { ...item, input: '' };
}

interface PartStep {
  readonly event: object;
  readonly tokens: number;
}

function* partEvents(item: ResponseOutputItem, block: Block): Iterable<PartStep> {
  const pieces = piecesOf(block);
  const unseenTokens = tokensOf(block) - pieces.length;
  switch (item.type) {
    case 'reasoning':
      yield* summaryEvents(item.summary[0], pieces);
      return;
    case 'message': {
      const part = item.content[0];
      if (part === undefined) return;
      const isText = part.type === 'output_text';
      const at = { content_index: 0 };
      const name = isText ? 'output_text' : 'refusal';
      yield plain({
        type: 'response.content_part.added',
        ...at,
        part: isText ? { ...part, text: '' } : { ...part, refusal: '' },
      });
      for (const delta of pieces)
        yield {
          event: { type: `response.${name}.delta`, ...at, delta, ...(isText ? { logprobs: [] } : {}) },
          tokens: 1,
        };
      const done = isText ? { text: part.text, logprobs: [] } : { refusal: part.refusal };
      yield plain({ type: `response.${name}.done`, ...at, ...done });
      yield plain({ type: 'response.content_part.done', ...at, part });
      return;
    }
    case 'function_call':
      for (const [index, delta] of pieces.entries())
        yield {
          event: { type: 'response.function_call_arguments.delta', delta },
          tokens: index === 0 ? 1 + unseenTokens : 1,
        };
      yield plain({
        type: 'response.function_call_arguments.done',
        name: item.name,
        arguments: item.arguments,
      });
      return;
    case 'custom_tool_call':
      for (const [index, delta] of pieces.entries())
        yield {
          event: { type: 'response.custom_tool_call_input.delta', delta },
          tokens: index === 0 ? 1 + unseenTokens : 1,
        };
      yield plain({ type: 'response.custom_tool_call_input.done', input: item.input });
      return;
    default:
  }
}

/** Without a summary, thinking passes in silence. */
function* summaryEvents(
  part: { text: string; type: string } | undefined,
  pieces: readonly string[],
): Iterable<PartStep> {
  if (!part) return;
  const at = { summary_index: 0 };
  yield plain({ type: 'response.reasoning_summary_part.added', ...at, part: { ...part, text: '' } });
  for (const delta of pieces)
    yield { event: { type: 'response.reasoning_summary_text.delta', ...at, delta }, tokens: 1 };
  yield plain({ type: 'response.reasoning_summary_text.done', ...at, text: part.text });
  yield plain({ type: 'response.reasoning_summary_part.done', ...at, part });
}

function plain(event: object): PartStep {
  return { event, tokens: 0 };
}
