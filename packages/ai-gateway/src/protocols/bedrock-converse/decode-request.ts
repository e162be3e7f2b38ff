import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type {
  AnswerFormat,
  CacheMark,
  Message,
  NeutralRequest,
  Part,
  ReasoningOptions,
  TextPart,
  Tool,
  ToolChoice,
} from '../../domain/neutral-request.ts';
import { unload } from '../carrier.ts';
import { asNumber, asObject, asObjects, asString, parseObject, without } from '../read-json.ts';
import { appendParts, metadataOf, systemTexts, toolCallNames } from '../request-parts.ts';
import { unreadIn } from '../unread.ts';
import { decodeBlock } from './decode-blocks.ts';
import { readableConverse } from './readable.ts';

export const converseProtocol = 'bedrock-converse';

const known = new Set([
  'messages',
  'system',
  'inferenceConfig',
  'toolConfig',
  'additionalModelRequestFields',
  'outputConfig',
  'requestMetadata',
  'serviceTier',
]);
const knownFields = new Set(['thinking', 'top_k']);

/** Converse to neutral (spec/llm-protocols 6.5). The model and whether it streams stand in the path. */
export function decodeConverseRequest(
  body: JsonObject,
  hints: { model: string; isStream: boolean },
): NeutralRequest {
  const inference = asObject(body.inferenceConfig) ?? {};
  const fields = asObject(body.additionalModelRequestFields) ?? {};
  const otherFields = without(fields, knownFields);
  const output = asObject(body.outputConfig);
  const config = asObject(body.toolConfig);
  return {
    protocol: converseProtocol,
    ...hints,
    system: decodeSystem(body.system),
    messages: decodeMessages(body.messages),
    tools: decodeTools(config?.tools),
    toolChoice: decodeChoice(asObject(config?.toolChoice)),
    format: decodeFormat(asObject(output?.textFormat)),
    reasoning: decodeThinking(asObject(fields.thinking), asString(output?.effort)),
    sampling: {
      maxTokens: asNumber(inference.maxTokens),
      temperature: asNumber(inference.temperature),
      topP: asNumber(inference.topP),
      topK: asNumber(fields.top_k),
      stop: Array.isArray(inference.stopSequences)
        ? inference.stopSequences.filter(each => typeof each === 'string')
        : undefined,
    },
    metadata: metadataOf(body.requestMetadata),
    serviceTier: asString(asObject(body.serviceTier)?.type),
    lost: unreadIn(body, readableConverse),
    unknown: {
      ...without(body, known),
      ...(Object.keys(otherFields).length > 0 && { additionalModelRequestFields: otherFields }),
    },
  };
}

function decodeSystem(system: unknown): TextPart[] {
  return systemTexts(withMarks(asObjects(system), block => decodeBlock(block, new Map())));
}

function decodeMessages(value: unknown): Message[] {
  if (!Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'The field `messages` must be a list.', {
      reason: 'messages_missing',
      param: 'messages',
    });
  }
  const written = asObjects(value);
  const names = toolCallNames(
    written
      .flatMap(message => asObjects(message.content))
      .map(block => asObject(block.toolUse))
      .filter(use => use !== undefined)
      .map(use => [unload(asString(use.toolUseId) ?? '').id, asString(use.name) ?? '']),
  );
  const messages: Message[] = [];
  for (const { role, content } of written) {
    const parts = withMarks(asObjects(content), block => decodeBlock(block, names));
    appendParts(messages, role === 'assistant' ? 'assistant' : 'user', parts);
  }
  return messages;
}

/** A cache point stands after what it marks. */
function withMarks(blocks: readonly JsonObject[], decode: (block: JsonObject) => readonly Part[]): Part[] {
  const parts: Part[] = [];
  for (const block of blocks) {
    const mark = markOf(block);
    const last = parts.at(-1);
    if (mark === undefined) parts.push(...decode(block));
    else if (last !== undefined && isMarkable(last)) parts[parts.length - 1] = { ...last, cache: mark };
  }
  return parts;
}

function isMarkable(part: Part): part is Exclude<Part, { type: 'reasoning' | 'refusal' | 'foreign' }> {
  return part.type !== 'reasoning' && part.type !== 'refusal' && part.type !== 'foreign';
}

function markOf(block: JsonObject): CacheMark | undefined {
  const point = asObject(block.cachePoint);
  if (point === undefined) return undefined;
  return { ttl: point.ttl === '1h' || point.ttl === '5m' ? point.ttl : undefined };
}

function decodeTools(value: unknown): Tool[] {
  const tools: Tool[] = [];
  for (const tool of asObjects(value)) {
    const mark = markOf(tool);
    const last = tools.at(-1);
    if (mark === undefined) tools.push(decodeTool(tool));
    else if (last?.type === 'function') tools[tools.length - 1] = { ...last, cache: mark };
  }
  return tools;
}

function decodeTool(tool: JsonObject): Tool {
  const spec = asObject(tool.toolSpec);
  if (spec === undefined) {
    const name = asString(asObject(tool.systemTool)?.name) ?? Object.keys(tool)[0] ?? 'tool';
    return { type: 'hosted', protocol: converseProtocol, name, value: tool };
  }
  return {
    type: 'function',
    name: asString(spec.name) ?? '',
    description: asString(spec.description),
    schema: asObject(asObject(spec.inputSchema)?.json) ?? { type: 'object', properties: {} },
    isStrict: spec.strict === true ? true : undefined,
  };
}

function decodeChoice(choice: JsonObject | undefined): ToolChoice | undefined {
  if (choice === undefined) return undefined;
  const name = asString(asObject(choice.tool)?.name);
  if (name !== undefined) return { type: 'tool', name };
  return { type: choice.any === undefined ? 'auto' : 'required' };
}

/** The schema is JSON in a string here. */
function decodeFormat(format: JsonObject | undefined): AnswerFormat | undefined {
  const written = asObject(asObject(format?.structure)?.jsonSchema);
  if (written === undefined) return undefined;
  return {
    type: 'json-schema',
    name: asString(written.name),
    description: asString(written.description),
    schema: parseObject(Buffer.from(asString(written.schema) ?? '')) ?? {},
  };
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
