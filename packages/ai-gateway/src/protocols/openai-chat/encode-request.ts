import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import {
  isMedia,
  type MediaPart,
  type Message,
  type NeutralRequest,
  type Part,
  type TextPart,
  type Tool,
  type ToolChoice,
  type ToolResultPart,
} from '../../domain/neutral-request.ts';
import { audioFormat, textOfSource, urlOfSource } from '../media.ts';
import { behind, effortOf, lostPart, reportMedia, reportUnknown, spokenMessages } from '../request-losses.ts';
import { joinedText } from '../request-parts.ts';
import { ToolNames, wireCallId } from '../tool-names.ts';
import { chatProtocol } from './decode-request.ts';

export const chatNameLength = 64;
const callIdLength = 40;
const maxStops = 4;

/** Neutral to Chat Completions. Cache marks are not needed: these providers cache by themselves. */
export function encodeChatRequest(request: NeutralRequest, target: EncodeTarget, losses: Losses): JsonObject {
  const names = new ToolNames(request, chatNameLength);
  const write = new MessageWriter(names, losses);
  const tools = request.tools.flatMap(tool => encodeTool(tool, names, losses));
  const { sampling } = request;
  const messages = spokenMessages(request.messages, chatProtocol, losses);
  if (sampling.topK !== undefined) losses.dropped('top_k');
  return behind(reportUnknown(request, chatProtocol, losses), {
    model: target.model,
    messages: [...systemMessage(request.system), ...messages.flatMap(each => write.message(each))],
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: tools.length > 0 ? encodeChoice(request.toolChoice, request, names) : undefined,
    parallel_tool_calls: tools.length > 0 ? request.isParallel : undefined,
    response_format: encodeFormat(request),
    reasoning_effort: effortOf(request.reasoning, losses),
    max_completion_tokens: sampling.maxTokens,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    stop: stopsOf(sampling.stop, losses),
    seed: sampling.seed,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    verbosity: request.verbosity,
    metadata: request.metadata,
    user: request.user,
    service_tier: tierOf(request.serviceTier),
    prompt_cache_key: request.promptCacheKey,
    stream: request.isStream ? true : undefined,
    stream_options: request.isStream && target.mayAskStreamUsage ? { include_usage: true } : undefined,
  });
}

function tierOf(tier: string | undefined): string | undefined {
  return tier === 'standard_only' ? 'default' : tier;
}

function stopsOf(stop: readonly string[] | undefined, losses: Losses): readonly string[] | undefined {
  if (stop === undefined || stop.length <= maxStops) return stop?.length === 0 ? undefined : stop;
  losses.changed('stop');
  return stop.slice(0, maxStops);
}

function systemMessage(system: readonly TextPart[]): JsonObject[] {
  const text = system.map(part => part.text).join('\n\n');
  return text === '' ? [] : [{ role: 'system', content: text }];
}

class MessageWriter {
  readonly #names: ToolNames;
  readonly #losses: Losses;

  constructor(names: ToolNames, losses: Losses) {
    this.#names = names;
    this.#losses = losses;
  }

  message({ role, parts }: Message): JsonObject[] {
    return role === 'assistant' ? this.#assistant(parts) : this.#user(parts);
  }

  #assistant(parts: readonly Part[]): JsonObject[] {
    const texts: string[] = [];
    const refusals: string[] = [];
    const calls: JsonObject[] = [];
    for (const part of parts) {
      if (part.type === 'text') texts.push(part.text);
      else if (part.type === 'refusal') refusals.push(part.text);
      else if (part.type === 'tool-call') calls.push(this.#call(part));
      else this.#losses.dropped(lostPart(part));
    }
    if (texts.length + refusals.length + calls.length === 0) return [];
    return [
      {
        role: 'assistant',
        content: texts.length > 0 ? texts.join('') : calls.length > 0 ? null : '',
        refusal: refusals.length > 0 ? refusals.join('') : undefined,
        tool_calls: calls.length > 0 ? calls : undefined,
      },
    ];
  }

  #call(part: Extract<Part, { type: 'tool-call' }>): JsonObject {
    const id = wireCallId(part.id, callIdLength);
    const name = this.#names.wire(part.name);
    if (part.input === 'text') return { id, type: 'custom', custom: { name, input: part.arguments } };
    return { id, type: 'function', function: { name, arguments: part.arguments || '{}' } };
  }

  /** Results first, each a message of its own; what a result cannot hold here follows as the user's. */
  #user(parts: readonly Part[]): JsonObject[] {
    const results = parts.filter(part => part.type === 'tool-result');
    const beside = results.flatMap(result => this.#besideResult(result));
    const rest = parts.filter(part => part.type !== 'tool-result').flatMap(part => this.#userPart(part));
    const content = [...beside, ...rest];
    return [
      ...results.map(result => this.#result(result)),
      ...(content.length > 0 ? [{ role: 'user', content: plainText(content) ?? content }] : []),
    ];
  }

  #result(result: ToolResultPart): JsonObject {
    if (result.isError) this.#losses.changed('messages.tool_result.is_error');
    const text = joinedText(result.parts);
    return {
      role: 'tool',
      tool_call_id: wireCallId(result.callId, callIdLength),
      content: result.isError ? `Error: ${text}` : text,
    };
  }

  #besideResult({ parts, callId }: ToolResultPart): JsonObject[] {
    const media = parts.filter(isMedia).flatMap(part => this.#media(part));
    if (media.length === 0) return [];
    this.#losses.changed('messages.tool_result.media');
    return [{ type: 'text', text: `Of the result of the tool call ${callId}:` }, ...media];
  }

  #userPart(part: Part): JsonObject[] {
    if (part.type === 'text') return part.text === '' ? [] : [{ type: 'text', text: part.text }];
    if (isMedia(part)) return this.#media(part);
    this.#losses.dropped(lostPart(part));
    return [];
  }

  #media(part: MediaPart): JsonObject[] {
    const written = mediaPart(part);
    if (written !== undefined) {
      reportMedia(part, written.type === 'file' ? ['name'] : ['detail'], this.#losses);
      return [written];
    }
    this.#losses.dropped(lostPart(part));
    return [];
  }
}

function plainText(content: readonly JsonObject[]): unknown {
  const [only] = content;
  return content.length === 1 && only?.type === 'text' ? only.text : undefined;
}

function mediaPart({ type, source, detail, name }: MediaPart): JsonObject | undefined {
  const url = urlOfSource(source);
  switch (type) {
    case 'image':
      return url === undefined ? undefined : { type: 'image_url', image_url: { url, detail } };
    case 'audio':
      if (source.type !== 'data') return undefined;
      return {
        type: 'input_audio',
        input_audio: { data: source.data, format: audioFormat(source.mediaType) },
      };
    case 'document': {
      const text = textOfSource(source);
      if (text !== undefined) return { type: 'text', text };
      if (source.type === 'data')
        return { type: 'file', file: { filename: name ?? 'document.pdf', file_data: url } };
      const isOurs = source.type === 'file' && source.protocol === chatProtocol;
      return isOurs ? { type: 'file', file: { file_id: source.id } } : undefined;
    }
    case 'video':
      return undefined;
  }
}

function encodeTool(tool: Tool, names: ToolNames, losses: Losses): JsonObject[] {
  switch (tool.type) {
    case 'function': {
      const { description, schema, isStrict } = tool;
      return [
        {
          type: 'function',
          function: {
            name: names.wire(tool.name),
            description,
            parameters: schema,
            strict: isStrict,
          },
        },
      ];
    }
    case 'custom': {
      const { description, grammar } = tool;
      return [{ type: 'custom', custom: { name: names.wire(tool.name), description, format: grammar } }];
    }
    case 'hosted':
      if (tool.protocol === chatProtocol) return [tool.value as JsonObject]; // as it was read
      losses.dropped(`tools.${tool.name}`);
      return [];
  }
}

function encodeChoice(choice: ToolChoice | undefined, request: NeutralRequest, names: ToolNames): unknown {
  if (choice === undefined) return undefined;
  const named = (name: string) => {
    const isCustom = request.tools.some(tool => tool.type === 'custom' && tool.name === name);
    return isCustom
      ? { type: 'custom', custom: { name: names.wire(name) } }
      : { type: 'function', function: { name: names.wire(name) } };
  };
  switch (choice.type) {
    case 'tool':
      return named(choice.name);
    case 'subset': {
      const mode = choice.isRequired ? 'required' : 'auto';
      return { type: 'allowed_tools', allowed_tools: { mode, tools: choice.names.map(named) } };
    }
    default:
      return choice.type;
  }
}

function encodeFormat({ format }: NeutralRequest): JsonObject | undefined {
  if (format?.type === 'json') return { type: 'json_object' };
  if (format?.type !== 'json-schema') return undefined;
  const { name, description, schema, isStrict } = format;
  return {
    type: 'json_schema',
    json_schema: { name: name ?? 'answer', description, schema, strict: isStrict },
  };
}
