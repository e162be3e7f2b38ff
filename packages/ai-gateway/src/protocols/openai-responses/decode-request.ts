import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type {
  AnswerFormat,
  MediaPart,
  Message,
  NeutralRequest,
  Part,
  ReasoningOptions,
  Source,
  TextPart,
  Tool,
  ToolChoice,
} from '../../domain/neutral-request.ts';
import { unload, unloadSeal } from '../carrier.ts';
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
import { readableResponses } from './readable.ts';

export const responsesProtocol = 'openai-responses';

/** Read here, or by the endpoint that keeps conversations. */
const known = new Set([
  'model',
  'input',
  'instructions',
  'stream',
  'stream_options',
  'store',
  'include',
  'previous_response_id',
  'max_output_tokens',
  'temperature',
  'top_p',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'text',
  'reasoning',
  'metadata',
  'user',
  'safety_identifier',
  'service_tier',
  'prompt_cache_key',
]);

/** Responses to neutral (spec/llm-protocols 6.2). */
export function decodeResponsesRequest(
  body: JsonObject,
  hints: { model: string; isStream: boolean },
): NeutralRequest {
  const text = asObject(body.text);
  const instructions = asString(body.instructions);
  const items = inputItems(body.input);
  const { system, messages } = decodeItems(items);
  return {
    protocol: responsesProtocol,
    ...hints,
    system: [...(instructions ? [{ type: 'text', text: instructions } as const] : []), ...system],
    messages,
    tools: asObjects(body.tools).map(decodeTool),
    toolChoice: decodeChoice(body.tool_choice),
    isParallel: asBoolean(body.parallel_tool_calls),
    format: decodeFormat(text?.format),
    reasoning: decodeReasoning(asObject(body.reasoning)),
    sampling: {
      maxTokens: asNumber(body.max_output_tokens),
      temperature: asNumber(body.temperature),
      topP: asNumber(body.top_p),
    },
    verbosity: asString(text?.verbosity),
    metadata: metadataOf(body.metadata),
    user: asString(body.safety_identifier) ?? asString(body.user),
    serviceTier: asString(body.service_tier),
    promptCacheKey: asString(body.prompt_cache_key),
    unknown: unknownOf(body),
    lost: [...unreadIn(body, readableResponses), ...movedSystem(items)],
    written: body,
  };
}

/** What every provider does anyway is no loss. */
function unknownOf(body: JsonObject): JsonObject {
  const rest = { ...without(body, known) };
  if (rest.truncation === 'disabled') delete rest.truncation;
  if (rest.background === false) delete rest.background;
  const included = Array.isArray(body.include) ? body.include : [];
  // Encrypted reasoning travels with every answer; all else that can be included is the vendor's own.
  return included.every(each => each === 'reasoning.encrypted_content')
    ? rest
    : { ...rest, include: included };
}

export function inputItems(input: unknown): readonly JsonObject[] {
  if (typeof input === 'string') return [{ type: 'message', role: 'user', content: input }];
  if (Array.isArray(input)) return asObjects(input);
  throw new GatewayError('invalid_request', 'The field `input` must be a text or a list of items.', {
    reason: 'input_missing',
    param: 'input',
  });
}

function decodeReasoning(reasoning: JsonObject | undefined): ReasoningOptions | undefined {
  if (reasoning === undefined) return undefined;
  const effort = asString(reasoning.effort);
  const summary = asString(reasoning.summary);
  return { isEnabled: effort !== 'none', effort, isShown: summary !== undefined, summary };
}

export function decodeItems(items: readonly JsonObject[]): { system: TextPart[]; messages: Message[] } {
  const calls = items.filter(item => item.type === 'function_call' || item.type === 'custom_tool_call');
  const names = toolCallNames(
    calls.map(item => [unload(asString(item.call_id) ?? '').id, asString(item.name) ?? '']),
  );
  const system: TextPart[] = [];
  const messages: Message[] = [];
  for (const item of items) {
    const role = asString(item.role);
    if (role === 'system' || role === 'developer') system.push(...systemTexts(contentParts(item.content)));
    else if (role === 'assistant') appendParts(messages, 'assistant', contentParts(item.content));
    else if (role !== undefined) appendParts(messages, 'user', contentParts(item.content));
    else decodeItem(item, messages, names);
  }
  return { system, messages };
}

function decodeItem(item: JsonObject, messages: Message[], names: ReadonlyMap<string, string>): void {
  switch (item.type) {
    case 'function_call':
    case 'custom_tool_call':
      appendParts(messages, 'assistant', callParts(item));
      return;
    case 'function_call_output':
    case 'custom_tool_call_output': {
      const callId = unload(asString(item.call_id) ?? '').id;
      const result: Part = {
        type: 'tool-result',
        callId,
        name: names.get(callId),
        input: item.type === 'function_call_output' ? 'json' : 'text',
        parts: resultTexts(contentParts(item.output)),
        isError: false,
      };
      appendParts(messages, 'user', [result]);
      return;
    }
    case 'reasoning':
      appendParts(messages, 'assistant', [reasoningPart(item)]);
      return;
    default: {
      const name = asString(item.type) ?? 'item';
      appendParts(messages, 'assistant', [
        { type: 'foreign', protocol: responsesProtocol, name, value: item },
      ]);
    }
  }
}

function callParts(item: JsonObject): Part[] {
  const { id, carried } = unload(asString(item.call_id) ?? '');
  const isCustom = item.type === 'custom_tool_call';
  return [
    ...carried.reasoning,
    {
      type: 'tool-call',
      id,
      name: asString(item.name) ?? '',
      input: isCustom ? 'text' : 'json',
      arguments: asString(isCustom ? item.input : item.arguments) ?? '',
      seal: carried.seal,
    },
  ];
}

function reasoningPart(item: JsonObject): Part {
  const told = [...asObjects(item.content), ...asObjects(item.summary)];
  const text = told.map(part => asString(part.text) ?? '').join('\n\n');
  return {
    type: 'reasoning',
    text,
    seal: unloadSeal(asString(item.encrypted_content) ?? '', 'openai-encrypted'),
  };
}

function contentParts(content: unknown): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asObjects(content).map(contentPart);
}

function contentPart(part: JsonObject): Part {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return { type: 'text', text: asString(part.text) ?? '' };
    case 'refusal':
      return { type: 'refusal', text: asString(part.refusal) ?? '' };
    case 'input_image': {
      const id = asString(part.file_id);
      const source =
        id === undefined
          ? sourceOfUrl(asString(part.image_url) ?? '')
          : ({ type: 'file', id, protocol: responsesProtocol } as const);
      return { type: 'image', source, detail: asString(part.detail) };
    }
    case 'input_file':
      return filePart(part);
    case 'input_audio': {
      const audio = asObject(part.input_audio);
      const mediaType = `audio/${asString(audio?.format) ?? 'wav'}`;
      return { type: 'audio', source: { type: 'data', mediaType, data: asString(audio?.data) ?? '' } };
    }
    default:
      return {
        type: 'foreign',
        protocol: responsesProtocol,
        name: asString(part.type) ?? 'part',
        value: part,
      };
  }
}

function filePart(part: JsonObject): MediaPart {
  const beside = { name: asString(part.filename), detail: asString(part.detail) };
  return { type: 'document', source: fileSource(part), ...beside };
}

function fileSource(part: JsonObject): Source {
  const id = asString(part.file_id);
  if (id !== undefined) return { type: 'file', id, protocol: responsesProtocol };
  const url = asString(part.file_url);
  if (url !== undefined) return { type: 'url', url };
  const data = asString(part.file_data) ?? '';
  if (data.startsWith('data:')) return sourceOfUrl(data);
  return { type: 'data', mediaType: 'application/pdf', data };
}

function decodeTool(tool: JsonObject): Tool {
  const name = asString(tool.name) ?? '';
  const description = asString(tool.description);
  if (tool.type === 'function') {
    const schema = asObject(tool.parameters) ?? { type: 'object', properties: {} };
    return { type: 'function', name, description, schema, isStrict: asBoolean(tool.strict) };
  }
  if (tool.type === 'custom') return { type: 'custom', name, description, grammar: tool.format };
  return { type: 'hosted', protocol: responsesProtocol, name: asString(tool.type) ?? 'tool', value: tool };
}

function decodeChoice(choice: unknown): ToolChoice | undefined {
  if (choice === 'auto' || choice === 'required' || choice === 'none') return { type: choice };
  const object = asObject(choice);
  const name = asString(object?.name);
  if (object?.type === 'allowed_tools') {
    const names = asObjects(object.tools).flatMap(tool => asString(tool.name) ?? []);
    return { type: 'subset', names, isRequired: object.mode === 'required' };
  }
  return name === undefined ? undefined : { type: 'tool', name };
}

function decodeFormat(format: unknown): AnswerFormat | undefined {
  const object = asObject(format);
  if (object?.type === 'json_object') return { type: 'json' };
  if (object?.type !== 'json_schema') return undefined;
  return {
    type: 'json-schema',
    name: asString(object.name),
    description: asString(object.description),
    schema: asObject(object.schema) ?? { type: 'object' },
    isStrict: asBoolean(object.strict),
  };
}
