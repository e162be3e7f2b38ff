import { hash } from 'node:crypto';
import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import {
  isMedia,
  type MediaPart,
  type Message,
  type NeutralRequest,
  type Part,
  type ReasoningPart,
  type Tool,
  type ToolChoice,
  type ToolResultPart,
} from '../../domain/neutral-request.ts';
import { mayOpen } from '../../domain/seal.ts';
import { audioFormat, textOfSource, urlOfSource } from '../media.ts';
import { asObject } from '../read-json.ts';
import {
  behind,
  effortOf,
  lostPart,
  reportDropped,
  reportMedia,
  reportUnknown,
  spokenMessages,
} from '../request-losses.ts';
import { joinedText, resultsFirst } from '../request-parts.ts';
import { ToolNames, wireCallId } from '../tool-names.ts';
import { responsesProtocol } from './decode-request.ts';

export const responsesNameLength = 64;
const callIdLength = 64;

/** Neutral to Responses. Nothing is stored there: the gateway keeps conversations itself. */
export function encodeResponsesRequest(
  request: NeutralRequest,
  target: EncodeTarget,
  losses: Losses,
): JsonObject {
  const names = new ToolNames(request, responsesNameLength);
  const writer = new ItemWriter({ target, names, losses });
  const tools = request.tools.flatMap(tool => encodeTool(tool, names, losses));
  const instructions = request.system.map(part => part.text).join('\n\n');
  const { sampling } = request;
  reportDropped(
    {
      stop: sampling.stop?.length ? true : undefined,
      seed: sampling.seed,
      top_k: sampling.topK,
      presence_penalty: sampling.presencePenalty,
      frequency_penalty: sampling.frequencyPenalty,
    },
    losses,
  );
  return behind(reportUnknown(request, responsesProtocol, losses), {
    model: target.model,
    input: spokenMessages(request.messages, responsesProtocol, losses).flatMap(each => writer.message(each)),
    instructions: instructions === '' ? undefined : instructions,
    store: false,
    include: includedOf(request),
    max_output_tokens: atLeast(sampling.maxTokens, losses),
    temperature: sampling.temperature,
    top_p: sampling.topP,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: tools.length > 0 ? encodeChoice(request.toolChoice, request, names) : undefined,
    parallel_tool_calls: tools.length > 0 ? request.isParallel : undefined,
    text: encodeText(request),
    reasoning: encodeReasoning(request, losses),
    metadata: request.metadata,
    safety_identifier: request.user,
    service_tier: request.serviceTier === 'standard_only' ? 'default' : request.serviceTier,
    prompt_cache_key: request.promptCacheKey,
    stream: request.isStream ? true : undefined,
  });
}

const minOutputTokens = 16;

function atLeast(maxTokens: number | undefined, losses: Losses): number | undefined {
  if (maxTokens === undefined || maxTokens >= minOutputTokens) return maxTokens;
  losses.changed('max_tokens');
  return minOutputTokens;
}

function encodeReasoning({ reasoning }: NeutralRequest, losses: Losses): JsonObject | undefined {
  const effort = effortOf(reasoning, losses);
  if (effort === undefined) return undefined;
  const summary = reasoning?.isShown === false ? undefined : (reasoning?.summary ?? 'auto');
  return { effort, summary };
}

function encodeText({ format, verbosity }: NeutralRequest): JsonObject | undefined {
  const written = encodeFormat(format);
  if (written === undefined && verbosity === undefined) return undefined;
  return { format: written, verbosity };
}

function encodeFormat(format: NeutralRequest['format']): JsonObject | undefined {
  if (format?.type === 'json') return { type: 'json_object' };
  if (format?.type !== 'json-schema') return undefined;
  const { name, description, schema, isStrict } = format;
  return { type: 'json_schema', name: name ?? 'answer', description, schema, strict: isStrict };
}

interface WriterDeps {
  readonly target: EncodeTarget;
  readonly names: ToolNames;
  readonly losses: Losses;
}

/** Neutral messages as items; consecutive texts of one turn are one message. */
export class ItemWriter {
  readonly #deps: WriterDeps;

  constructor(deps: WriterDeps) {
    this.#deps = deps;
  }

  message({ role, parts }: Message): JsonObject[] {
    const items: JsonObject[] = [];
    let content: JsonObject[] = [];
    const flush = () => {
      if (content.length > 0) items.push({ type: 'message', role, content });
      content = [];
    };
    for (const part of role === 'user' ? resultsFirst(parts) : parts) {
      const item = this.#item(part);
      if (item !== undefined) {
        flush();
        items.push(...item);
      } else content.push(...this.#content(part, role));
    }
    flush();
    return items;
  }

  /** Parts that are items of their own; undefined for those that go into a message. */
  #item(part: Part): JsonObject[] | undefined {
    switch (part.type) {
      case 'tool-call': {
        const head = {
          call_id: wireCallId(part.id, callIdLength),
          name: this.#deps.names.wire(part.name),
        };
        if (part.input === 'text') return [{ type: 'custom_tool_call', ...head, input: part.arguments }];
        return [{ type: 'function_call', ...head, arguments: part.arguments || '{}' }];
      }
      case 'tool-result':
        return [this.#result(part)];
      case 'reasoning':
        return this.#reasoning(part);
      case 'foreign': {
        const value = part.protocol === responsesProtocol ? asObject(part.value) : undefined;
        return value === undefined ? this.#lost(part) : [value];
      }
      default:
        return undefined;
    }
  }

  #lost(part: Part): JsonObject[] {
    this.#deps.losses.dropped(lostPart(part));
    return [];
  }

  #reasoning(part: ReasoningPart): JsonObject[] {
    const { seal, text } = part;
    if (seal === undefined || !mayOpen(seal, this.#deps.target, ['openai-encrypted']))
      return this.#lost(part);
    const id = `rs_${hash('sha256', seal.data, 'hex').slice(0, 48)}`;
    const summary = text === '' ? [] : [{ type: 'summary_text', text }];
    return [{ type: 'reasoning', id, summary, encrypted_content: seal.data }];
  }

  #result({ callId, input, parts, isError }: ToolResultPart): JsonObject {
    const { losses } = this.#deps;
    if (isError) losses.changed('messages.tool_result.is_error');
    const text = isError ? `Error: ${joinedText(parts)}` : joinedText(parts);
    const media = parts.flatMap(part => {
      if (part.type === 'foreign') return [asObject(part.value) ?? {}];
      return isMedia(part) ? this.#content(part, 'user') : [];
    });
    return {
      type: input === 'text' ? 'custom_tool_call_output' : 'function_call_output',
      call_id: wireCallId(callId, callIdLength),
      output: media.length === 0 ? text : [...(text ? [{ type: 'input_text', text }] : []), ...media],
    };
  }

  #content(part: Part, role: Message['role']): JsonObject[] {
    if (part.type === 'text') {
      if (part.text === '') return [];
      return [{ type: role === 'assistant' ? 'output_text' : 'input_text', text: part.text }];
    }
    if (part.type === 'refusal') return [{ type: 'refusal', refusal: part.text }];
    const written = isMedia(part) ? mediaContent(part) : undefined;
    if (written === undefined || !isMedia(part)) return this.#lost(part);
    const isNamed = written.file_data !== undefined;
    reportMedia(part, isNamed ? ['name', 'detail'] : ['detail'], this.#deps.losses);
    return [written];
  }
}

function mediaContent({ type, source, detail, name }: MediaPart): JsonObject | undefined {
  const url = urlOfSource(source);
  const fileId = source.type === 'file' && source.protocol === responsesProtocol ? source.id : undefined;
  if (type === 'image') {
    if (fileId !== undefined) return { type: 'input_image', file_id: fileId, detail: detail ?? 'auto' };
    return url === undefined ? undefined : { type: 'input_image', image_url: url, detail: detail ?? 'auto' };
  }
  if (type === 'audio' && source.type === 'data')
    return { type: 'input_audio', input_audio: { data: source.data, format: audioFormat(source.mediaType) } };
  if (type !== 'document') return undefined;
  const text = textOfSource(source);
  if (text !== undefined) return { type: 'input_text', text };
  if (fileId !== undefined) return { type: 'input_file', file_id: fileId, detail };
  if (source.type === 'url') return { type: 'input_file', file_url: source.url, detail };
  return url === undefined
    ? undefined
    : { type: 'input_file', filename: name ?? 'document.pdf', file_data: url, detail };
}

function encodeTool(tool: Tool, names: ToolNames, losses: Losses): JsonObject[] {
  switch (tool.type) {
    case 'function': {
      const { description, schema, isStrict } = tool;
      const name = names.wire(tool.name);
      return [{ type: 'function', name, description, parameters: schema, strict: isStrict ?? false }];
    }
    case 'custom': {
      const { description, grammar } = tool;
      return [{ type: 'custom', name: names.wire(tool.name), description, format: grammar }];
    }
    case 'hosted':
      if (tool.protocol === responsesProtocol) return [asObject(tool.value) ?? {}];
      losses.dropped(`tools.${tool.name}`);
      return [];
  }
}

/** What a client of this protocol wants included, and the reasoning that the next turn needs. */
function includedOf({ protocol, unknown, reasoning }: NeutralRequest): unknown {
  const own = protocol === responsesProtocol && Array.isArray(unknown.include) ? unknown.include : [];
  const all = new Set<unknown>([...own, ...(reasoning?.isEnabled ? ['reasoning.encrypted_content'] : [])]);
  return all.size === 0 ? undefined : [...all];
}

function encodeChoice(choice: ToolChoice | undefined, request: NeutralRequest, names: ToolNames): unknown {
  if (choice === undefined) return undefined;
  const named = (name: string) => {
    const isCustom = request.tools.some(tool => tool.type === 'custom' && tool.name === name);
    return { type: isCustom ? 'custom' : 'function', name: names.wire(name) };
  };
  if (choice.type === 'tool') return named(choice.name);
  if (choice.type !== 'subset') return choice.type;
  const mode = choice.isRequired ? 'required' : 'auto';
  return { type: 'allowed_tools', mode, tools: choice.names.map(named) };
}
