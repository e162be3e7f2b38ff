import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type {
  AnswerFormat,
  Message,
  NeutralRequest,
  Part,
  TextPart,
  Tool,
  ToolChoice,
} from '../../domain/neutral-request.ts';
import { unload } from '../carrier.ts';
import { sourceOfUrl } from '../media.ts';
import { asBoolean, asNumber, asObject, asObjects, asString, without } from '../read-json.ts';
import {
  appendParts,
  metadataOf,
  movedSystem,
  resultTexts,
  systemTexts,
  toolCallNames,
} from '../request-parts.ts';
import { unreadIn } from '../unread.ts';
import { asksByFunctions, withTools } from './functions.ts';
import { readableChat } from './readable.ts';

export const chatProtocol = 'openai-chat';

const known = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop',
  'seed',
  'presence_penalty',
  'frequency_penalty',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'response_format',
  'reasoning_effort',
  'verbosity',
  'metadata',
  'user',
  'safety_identifier',
  'service_tier',
  'prompt_cache_key',
]);

/** Chat Completions to neutral (spec/llm-protocols 6.1). */
export function decodeChatRequest(
  written: JsonObject,
  { model, isStream }: { model: string; isStream: boolean },
): NeutralRequest {
  const isOfOld = asksByFunctions(written);
  const body = isOfOld ? withTools(written) : written;
  const effort = asString(body.reasoning_effort);
  const { system, messages } = decodeMessages(body);
  return {
    protocol: chatProtocol,
    model,
    isStream,
    system,
    messages,
    tools: asObjects(body.tools).map(decodeTool),
    toolChoice: decodeChoice(body.tool_choice),
    isParallel: asBoolean(body.parallel_tool_calls),
    format: decodeFormat(body.response_format),
    reasoning: effort === undefined ? undefined : { isEnabled: effort !== 'none', effort },
    sampling: {
      maxTokens: asNumber(body.max_completion_tokens) ?? asNumber(body.max_tokens),
      temperature: asNumber(body.temperature),
      topP: asNumber(body.top_p),
      topK: asNumber(body.top_k),
      stop: stopOf(body.stop),
      seed: asNumber(body.seed),
      presencePenalty: asNumber(body.presence_penalty),
      frequencyPenalty: asNumber(body.frequency_penalty),
    },
    verbosity: asString(body.verbosity),
    metadata: metadataOf(body.metadata),
    user: asString(body.safety_identifier) ?? asString(body.user),
    serviceTier: asString(body.service_tier),
    promptCacheKey: asString(body.prompt_cache_key),
    unknown: unknownOf(body),
    written: isOfOld ? written : undefined,
    lost: [...unreadIn(body, readableChat), ...movedSystem(asObjects(body.messages))],
  };
}

/** `n: 1` and `store: false` are what every provider does anyway. */
function unknownOf(body: JsonObject): JsonObject {
  const rest = { ...without(body, known) };
  if (rest.n === 1) delete rest.n;
  if (rest.store === false) delete rest.store;
  if (rest.logprobs === false) delete rest.logprobs;
  return rest;
}

function stopOf(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : undefined;
}

function decodeMessages(body: JsonObject): { system: TextPart[]; messages: Message[] } {
  if (!Array.isArray(body.messages)) {
    throw new GatewayError('invalid_request', 'The field `messages` must be a list.', {
      reason: 'messages_missing',
      param: 'messages',
    });
  }
  const written = asObjects(body.messages);
  const names = toolCallNames(written.flatMap(message => asObjects(message.tool_calls).map(callIdAndName)));
  const system: TextPart[] = [];
  const messages: Message[] = [];
  for (const message of written) {
    const role = asString(message.role);
    if (role === 'system' || role === 'developer') system.push(...systemTexts(contentParts(message.content)));
    else if (role === 'assistant') appendParts(messages, 'assistant', assistantParts(message));
    else if (role === 'tool') appendParts(messages, 'user', [resultPart(message, names)]);
    else appendParts(messages, 'user', contentParts(message.content));
  }
  return { system, messages };
}

function callIdAndName(call: JsonObject): [string, string] {
  const named = asObject(call.function) ?? asObject(call.custom);
  return [unload(asString(call.id) ?? '').id, asString(named?.name) ?? ''];
}

function contentParts(content: unknown): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asObjects(content).map(contentPart);
}

function contentPart(part: JsonObject): Part {
  const cache = cacheOf(part);
  switch (part.type) {
    case 'text':
      return { type: 'text', text: asString(part.text) ?? '', ...cache };
    case 'refusal':
      return { type: 'refusal', text: asString(part.refusal) ?? '' };
    case 'image_url': {
      const image = asObject(part.image_url);
      const source = sourceOfUrl(asString(image?.url) ?? asString(part.image_url) ?? '');
      return { type: 'image', source, detail: asString(image?.detail), ...cache };
    }
    case 'input_audio': {
      const audio = asObject(part.input_audio);
      const mediaType = `audio/${asString(audio?.format) ?? 'wav'}`;
      return {
        type: 'audio',
        source: { type: 'data', mediaType, data: asString(audio?.data) ?? '' },
        ...cache,
      };
    }
    case 'file':
      return { ...filePart(asObject(part.file) ?? {}), ...cache };
    default:
      return { type: 'foreign', protocol: chatProtocol, name: asString(part.type) ?? 'part', value: part };
  }
}

function filePart(file: JsonObject): Extract<Part, { type: 'document' | 'image' | 'audio' | 'video' }> {
  const name = asString(file.filename);
  const id = asString(file.file_id);
  if (id !== undefined)
    return { type: 'document', source: { type: 'file', id, protocol: chatProtocol }, name };
  const data = asString(file.file_data) ?? '';
  const source = data.startsWith('data:')
    ? sourceOfUrl(data)
    : ({ type: 'data', mediaType: 'application/pdf', data } as const);
  return { type: 'document', source, name };
}

/** Vendors that pass Anthropic's marks through take them here. */
function cacheOf(part: JsonObject): { cache?: { ttl: '5m' | '1h' | undefined } } {
  const mark = asObject(part.cache_control) ?? asObject(part.prompt_cache_breakpoint);
  if (mark === undefined) return {};
  return { cache: { ttl: mark.ttl === '1h' || mark.ttl === '5m' ? mark.ttl : undefined } };
}

function assistantParts(message: JsonObject): Part[] {
  const calls = asObjects(message.tool_calls).map(call => ({ call, ...unload(asString(call.id) ?? '') }));
  const carried = calls.flatMap(({ carried }) => carried.reasoning);
  const told = asString(message.reasoning_content) ?? asString(message.reasoning);
  const refusal = asString(message.refusal);
  return [
    // What was carried is the very reasoning; what the client tells is only its text.
    ...(carried.length === 0 && told ? [{ type: 'reasoning', text: told } as const] : carried),
    ...contentParts(message.content),
    ...contentParts(message.images),
    ...(refusal ? [{ type: 'refusal', text: refusal } as const] : []),
    ...calls.map(({ call, id, carried: { seal } }): Part => {
      const custom = asObject(call.custom);
      const named = custom ?? asObject(call.function);
      return {
        type: 'tool-call',
        id,
        name: asString(named?.name) ?? '',
        input: custom === undefined ? 'json' : 'text',
        arguments: asString(custom === undefined ? named?.arguments : named?.input) ?? '',
        seal,
      };
    }),
  ];
}

function resultPart(message: JsonObject, names: ReadonlyMap<string, string>): Part {
  const callId = unload(asString(message.tool_call_id) ?? '').id;
  return {
    type: 'tool-result',
    callId,
    name: names.get(callId),
    input: 'json',
    parts: resultTexts(contentParts(message.content)),
    isError: false,
  };
}

function decodeTool(tool: JsonObject): Tool {
  if (tool.type === 'function') {
    const { name, description, parameters, strict } = asObject(tool.function) ?? {};
    return {
      type: 'function',
      name: asString(name) ?? '',
      description: asString(description),
      schema: asObject(parameters) ?? { type: 'object', properties: {} },
      isStrict: asBoolean(strict),
      ...cacheOf(tool),
    };
  }
  if (tool.type === 'custom') {
    const { name, description, format } = asObject(tool.custom) ?? {};
    return {
      type: 'custom',
      name: asString(name) ?? '',
      description: asString(description),
      grammar: format,
    };
  }
  return { type: 'hosted', protocol: chatProtocol, name: asString(tool.type) ?? 'tool', value: tool };
}

function decodeChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'required' || choice === 'none') return { type: choice };
  const object = asObject(choice);
  const allowed = asObject(object?.allowed_tools);
  if (allowed !== undefined) {
    const names = asObjects(allowed.tools).flatMap(tool => nameIn(tool) ?? []);
    return { type: 'subset', names, isRequired: allowed.mode === 'required' };
  }
  const name = object && nameIn(object);
  return name === undefined ? undefined : { type: 'tool', name };
}

function nameIn(tool: JsonObject): string | undefined {
  return asString((asObject(tool.function) ?? asObject(tool.custom))?.name);
}

function decodeFormat(format: unknown): AnswerFormat | undefined {
  const object = asObject(format);
  if (object?.type === 'json_object') return { type: 'json' };
  if (object?.type !== 'json_schema') return undefined;
  const { name, description, schema, strict } = asObject(object.json_schema) ?? {};
  return {
    type: 'json-schema',
    name: asString(name),
    description: asString(description),
    schema: asObject(schema) ?? { type: 'object' },
    isStrict: asBoolean(strict),
  };
}
