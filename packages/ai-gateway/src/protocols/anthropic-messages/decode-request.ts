import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type {
  AnswerFormat,
  CacheMark,
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
import { asBoolean, asNumber, asObject, asObjects, asString, without } from '../read-json.ts';
import { appendParts, movedSystem, resultTexts, systemTexts, toolCallNames } from '../request-parts.ts';
import { unreadIn } from '../unread.ts';
import { readableMessages } from './readable.ts';

export const messagesProtocol = 'anthropic-messages';

const known = new Set([
  'model',
  'messages',
  'system',
  'stream',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'metadata',
  'service_tier',
]);

/** Messages to neutral (spec/llm-protocols 6.3). */
export function decodeMessagesRequest(
  body: JsonObject,
  { model, isStream }: { model: string; isStream: boolean },
): NeutralRequest {
  if (body.thread != null) throw threadUnsupported();
  const output = asObject(body.output_config);
  const choice = asObject(body.tool_choice);
  const noParallel = asBoolean(choice?.disable_parallel_tool_use);
  const { system, messages } = decodeMessages(body);
  return {
    protocol: messagesProtocol,
    model,
    isStream,
    system,
    messages,
    tools: asObjects(body.tools).map(decodeTool),
    toolChoice: decodeChoice(choice),
    isParallel: noParallel === undefined ? undefined : !noParallel,
    format: decodeFormat(output?.format),
    reasoning: decodeThinking(asObject(body.thinking), asString(output?.effort)),
    sampling: {
      maxTokens: asNumber(body.max_tokens),
      temperature: asNumber(body.temperature),
      topP: asNumber(body.top_p),
      topK: asNumber(body.top_k),
      stop: Array.isArray(body.stop_sequences)
        ? body.stop_sequences.filter(each => typeof each === 'string')
        : undefined,
    },
    user: asString(asObject(body.metadata)?.user_id),
    serviceTier: asString(body.service_tier),
    unknown: without(body, known),
    lost: [...unreadIn(body, readableMessages), ...movedSystem(asObjects(body.messages))],
  };
}

/** Only the vendor holds conversations. The SDK reads `error_code` and goes on by sending them whole. */
function threadUnsupported(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'No target of this model holds conversations: leave out `thread` and send all messages.',
    {
      reason: 'thread_unsupported',
      param: 'thread',
      details: { error_code: 'thread_unsupported_request', unsupported: ['thread'] },
    },
  );
}

function decodeThinking(
  thinking: JsonObject | undefined,
  effort: string | undefined,
): ReasoningOptions | undefined {
  if (thinking === undefined) return effort === undefined ? undefined : { isEnabled: true, effort };
  if (thinking.type === 'disabled') return { isEnabled: false };
  return {
    isEnabled: true,
    effort,
    budgetTokens: asNumber(thinking.budget_tokens),
    isShown: thinking.display === undefined ? undefined : thinking.display !== 'omitted',
  };
}

function decodeMessages(body: JsonObject): { system: TextPart[]; messages: Message[] } {
  if (!Array.isArray(body.messages)) {
    throw new GatewayError('invalid_request', 'The field `messages` must be a list.', {
      reason: 'messages_missing',
      param: 'messages',
    });
  }
  const written = asObjects(body.messages);
  const names = toolCallNames(
    written
      .flatMap(message => asObjects(message.content))
      .filter(block => block.type === 'tool_use')
      .map(block => [unload(asString(block.id) ?? '').id, asString(block.name) ?? '']),
  );
  const system = textParts(body.system);
  const messages: Message[] = [];
  for (const message of written) {
    if (message.role === 'system') system.push(...textParts(message.content));
    else {
      const role = message.role === 'assistant' ? 'assistant' : 'user';
      appendParts(messages, role, decodeBlocks(message.content, names));
    }
  }
  return { system, messages };
}

function textParts(content: unknown): TextPart[] {
  return systemTexts(decodeBlocks(content, new Map()));
}

export function decodeBlocks(content: unknown, names: ReadonlyMap<string, string>): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asObjects(content).flatMap(block => decodeBlock(block, names));
}

function decodeBlock(block: JsonObject, names: ReadonlyMap<string, string>): Part[] {
  const cache = cacheOf(block);
  switch (block.type) {
    case 'text':
      return [{ type: 'text', text: asString(block.text) ?? '', ...cache }];
    case 'image':
      return mediaPart('image', block, cache);
    case 'document':
      return mediaPart('document', block, cache);
    case 'thinking': {
      const seal = unloadSeal(asString(block.signature) ?? '', 'anthropic-signature');
      return [{ type: 'reasoning', text: asString(block.thinking) ?? '', seal }];
    }
    case 'redacted_thinking': {
      const seal = unloadSeal(asString(block.data) ?? '', 'anthropic-redacted');
      return seal === undefined ? [] : [{ type: 'reasoning', text: '', seal }];
    }
    case 'tool_use': {
      const { id, carried } = unload(asString(block.id) ?? '');
      const text = JSON.stringify(asObject(block.input) ?? {});
      const name = asString(block.name) ?? '';
      return [
        ...carried.reasoning,
        { type: 'tool-call', id, name, input: 'json', arguments: text, seal: carried.seal, ...cache },
      ];
    }
    case 'tool_result': {
      const callId = unload(asString(block.tool_use_id) ?? '').id;
      return [
        {
          type: 'tool-result',
          callId,
          name: names.get(callId),
          input: 'json',
          parts: resultTexts(decodeBlocks(block.content, names)),
          isError: block.is_error === true,
          ...cache,
        },
      ];
    }
    default:
      return [foreignPart(block, asString(block.type) ?? 'block')];
  }
}

/** Of search results and documents that are made of parts, the text is the same for every model. */
function foreignPart(block: JsonObject, name: string): Part {
  const content = asObject(block.source)?.content ?? block.content;
  const heads = [block.title, block.source].filter(each => typeof each === 'string');
  const texts = asObjects(content).flatMap(each => asString(each.text) ?? []);
  const isReadable = (name === 'search_result' || name === 'document') && texts.length > 0;
  return {
    type: 'foreign',
    protocol: messagesProtocol,
    name,
    value: block,
    ...(isReadable && { text: [...heads, ...texts].join('\n') }),
  };
}

function mediaPart(type: 'image' | 'document', block: JsonObject, cache: { cache?: CacheMark }): Part[] {
  const source = decodeSource(asObject(block.source) ?? {});
  if (source === undefined) return [foreignPart(block, type)];
  return [
    {
      type,
      source,
      name: asString(block.title),
      context: asString(block.context),
      wantsCitations: asObject(block.citations)?.enabled === true ? true : undefined,
      ...cache,
    },
  ];
}

function decodeSource(source: JsonObject): Source | undefined {
  const data = asString(source.data) ?? '';
  switch (source.type) {
    case 'base64':
      return { type: 'data', mediaType: asString(source.media_type) ?? 'application/octet-stream', data };
    case 'text':
      return { type: 'text', text: data };
    case 'url':
      return { type: 'url', url: asString(source.url) ?? '' };
    case 'file':
      return { type: 'file', id: asString(source.file_id) ?? '', protocol: messagesProtocol };
    default:
      return undefined;
  }
}

function cacheOf(block: JsonObject): { cache?: CacheMark } {
  const mark = asObject(block.cache_control);
  if (mark === undefined) return {};
  return { cache: { ttl: mark.ttl === '1h' || mark.ttl === '5m' ? mark.ttl : undefined } };
}

function decodeTool(tool: JsonObject): Tool {
  const schema = asObject(tool.input_schema);
  const name = asString(tool.name) ?? '';
  if (schema === undefined) {
    return { type: 'hosted', protocol: messagesProtocol, name: asString(tool.type) ?? name, value: tool };
  }
  return {
    type: 'function',
    name,
    description: asString(tool.description),
    schema,
    isStrict: asBoolean(tool.strict),
    ...cacheOf(tool),
  };
}

function decodeChoice(choice: JsonObject | undefined): ToolChoice | undefined {
  switch (choice?.type) {
    case 'auto':
    case 'none':
      return { type: choice.type };
    case 'any':
      return { type: 'required' };
    case 'tool':
      return { type: 'tool', name: asString(choice.name) ?? '' };
    default:
      return undefined;
  }
}

function decodeFormat(format: unknown): AnswerFormat | undefined {
  const object = asObject(format);
  if (object?.type !== 'json_schema') return undefined;
  return { type: 'json-schema', name: undefined, schema: asObject(object.schema) ?? { type: 'object' } };
}
