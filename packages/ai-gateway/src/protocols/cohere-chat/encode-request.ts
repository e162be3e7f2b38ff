import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import {
  isMedia,
  type MediaPart,
  type Message,
  type NeutralRequest,
  type Part,
  type Tool,
  type ToolResultPart,
} from '../../domain/neutral-request.ts';
import { textOfSource, urlOfSource } from '../media.ts';
import { asObject } from '../read-json.ts';
import {
  behind,
  budgetOf,
  describedSchema,
  lostPart,
  reportDropped,
  reportMedia,
  reportUnknown,
  spokenMessages,
} from '../request-losses.ts';
import { joinedText } from '../request-parts.ts';
import { ToolNames, wireCallId } from '../tool-names.ts';
import { cohereProtocol } from './decode-request.ts';

export const cohereNameLength = 64;
const callIdLength = 64;
const maxStops = 5;

/** Neutral to Chat v2. */
export function encodeCohereRequest(
  request: NeutralRequest,
  target: EncodeTarget,
  losses: Losses,
): JsonObject {
  const names = new ToolNames(request, cohereNameLength);
  const writer = new MessageWriter(names, losses);
  const { sampling } = request;
  reportDropped(
    {
      user: request.user,
      metadata: request.metadata,
      service_tier: request.serviceTier,
      verbosity: request.verbosity,
      prompt_cache_key: request.promptCacheKey,
      parallel_tool_calls: request.isParallel === false ? true : undefined,
    },
    losses,
  );
  const tools = offered(request, losses).flatMap(tool => encodeTool(tool, names, losses));
  const system = request.system.map(part => part.text).join('\n\n');
  return behind(reportUnknown(request, cohereProtocol, losses), {
    model: target.model,
    messages: [
      ...(system === '' ? [] : [{ role: 'system', content: system }]),
      ...spokenMessages(request.messages, cohereProtocol, losses).flatMap(each => writer.messages(each)),
    ],
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: tools.length > 0 ? encodeChoice(request, losses) : undefined,
    strict_tools: request.tools.some(tool => tool.type === 'function' && tool.isStrict) ? true : undefined,
    response_format: encodeFormat(request, losses),
    thinking: encodeThinking(request, losses),
    max_tokens: sampling.maxTokens,
    temperature: sampling.temperature,
    p: topPOf(sampling.topP, losses),
    k: sampling.topK,
    seed: sampling.seed,
    stop_sequences: stopsOf(sampling.stop, losses),
    presence_penalty: penaltyOf('presence_penalty', sampling.presencePenalty, losses),
    frequency_penalty: penaltyOf('frequency_penalty', sampling.frequencyPenalty, losses),
    stream: request.isStream,
  });
}

function stopsOf(stop: readonly string[] | undefined, losses: Losses): readonly string[] | undefined {
  if (stop === undefined || stop.length === 0) return undefined;
  if (stop.length > maxStops) losses.changed('stop');
  return stop.slice(0, maxStops);
}

/** 0.01 to 0.99 here, 0 to 1 elsewhere. */
function topPOf(topP: number | undefined, losses: Losses): number | undefined {
  if (topP === undefined) return undefined;
  const bounded = Math.min(0.99, Math.max(0.01, topP));
  if (bounded !== topP) losses.changed('top_p');
  return bounded;
}

/** 0 to 1 here, -2 to 2 elsewhere. */
function penaltyOf(name: string, value: number | undefined, losses: Losses): number | undefined {
  if (value === undefined) return undefined;
  const bounded = Math.min(1, Math.max(0, value));
  if (bounded !== value) losses.changed(name);
  return bounded;
}

function encodeFormat({ format }: NeutralRequest, losses: Losses): JsonObject | undefined {
  if (format === undefined || format.type === 'text') return undefined;
  return {
    type: 'json_object',
    json_schema: format.type === 'json-schema' ? describedSchema(format, losses) : undefined,
  };
}

function encodeThinking({ reasoning }: NeutralRequest, losses: Losses): JsonObject | undefined {
  if (reasoning === undefined) return undefined;
  if (!reasoning.isEnabled || reasoning.effort === 'none') return { type: 'disabled' };
  if (reasoning.budgetTokens === undefined && reasoning.effort === undefined) return { type: 'enabled' };
  if (reasoning.budgetTokens === undefined) losses.changed('reasoning.effort');
  return { type: 'enabled', token_budget: reasoning.budgetTokens ?? budgetOf(reasoning.effort) };
}

/** One tool cannot be forced by its name: it is the only one that is offered then. */
function offered({ tools, toolChoice }: NeutralRequest, losses: Losses): readonly Tool[] {
  if (toolChoice?.type !== 'subset' && toolChoice?.type !== 'tool') return tools;
  const wanted: readonly string[] = toolChoice.type === 'tool' ? [toolChoice.name] : toolChoice.names;
  if (tools.some(tool => !wanted.includes(tool.name))) losses.changed('tool_choice');
  return tools.filter(tool => wanted.includes(tool.name));
}

function encodeChoice({ toolChoice }: NeutralRequest, losses: Losses): string | undefined {
  switch (toolChoice?.type) {
    case 'none':
      return 'NONE';
    case 'required':
    case 'tool':
      return 'REQUIRED';
    case 'subset':
      if (!toolChoice.isRequired) losses.changed('tool_choice');
      return toolChoice.isRequired ? 'REQUIRED' : undefined;
    default:
      return undefined;
  }
}

function encodeTool(tool: Tool, names: ToolNames, losses: Losses): JsonObject[] {
  if (tool.type !== 'function') {
    losses.dropped(`tools.${tool.name}`);
    return [];
  }
  const { name, description, schema } = tool;
  const parameters = schema.type === 'object' ? schema : { ...schema, type: 'object' };
  return [{ type: 'function', function: { name: names.wire(name), description, parameters } }];
}

class MessageWriter {
  readonly #names: ToolNames;
  readonly #losses: Losses;

  constructor(names: ToolNames, losses: Losses) {
    this.#names = names;
    this.#losses = losses;
  }

  messages({ role, parts }: Message): JsonObject[] {
    if (role === 'assistant') return this.#assistant(parts);
    const results = parts.flatMap(part => (part.type === 'tool-result' ? [this.#result(part)] : []));
    const content = parts.flatMap(part => (part.type === 'tool-result' ? [] : this.#content(part)));
    return content.length === 0 ? results : [...results, { role: 'user', content: simple(content) }];
  }

  #assistant(parts: readonly Part[]): JsonObject[] {
    const calls = parts.flatMap(part => (part.type === 'tool-call' ? [this.#call(part)] : []));
    const content = parts.flatMap(part => (part.type === 'tool-call' ? [] : this.#content(part)));
    if (calls.length === 0 && content.length === 0) return [];
    return [
      {
        role: 'assistant',
        content: content.length > 0 ? simple(content) : undefined,
        tool_calls: calls.length > 0 ? calls : undefined,
      },
    ];
  }

  #call({ id, name, input, arguments: text }: Extract<Part, { type: 'tool-call' }>): JsonObject {
    return {
      id: wireCallId(id, callIdLength),
      type: 'function',
      function: {
        name: this.#names.wire(name),
        arguments: input === 'text' ? JSON.stringify({ input: text }) : text || '{}',
      },
    };
  }

  #result(part: ToolResultPart): JsonObject {
    for (const media of part.parts.filter(isMedia)) this.#lost(media);
    const text = joinedText(part.parts);
    return {
      role: 'tool',
      tool_call_id: wireCallId(part.callId, callIdLength),
      content: part.isError ? `Error: ${text}` : text,
    };
  }

  #content(part: Part): JsonObject[] {
    switch (part.type) {
      case 'text':
      case 'refusal':
        return part.text === '' ? [] : [{ type: 'text', text: part.text }];
      case 'image': {
        const url = urlOfSource(part.source);
        if (url === undefined) return this.#lost(part);
        return [{ type: 'image_url', image_url: { url, detail: part.detail } }];
      }
      case 'document':
        return this.#document(part);
      case 'foreign': {
        const value = part.protocol === cohereProtocol ? asObject(part.value) : undefined;
        return value === undefined ? this.#lost(part) : [value];
      }
      default:
        return this.#lost(part);
    }
  }

  /** Text is taken; a PDF is not. */
  #document(part: MediaPart): JsonObject[] {
    const text = textOfSource(part.source);
    if (text === undefined) return this.#lost(part);
    reportMedia(part, [], this.#losses);
    return [{ type: 'text', text }];
  }

  #lost(part: Part): JsonObject[] {
    this.#losses.dropped(lostPart(part));
    return [];
  }
}

/** A list of one text is that text. */
function simple(content: readonly JsonObject[]): unknown {
  const [first] = content;
  return content.length === 1 && first?.type === 'text' ? first.text : content;
}
