import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type {
  AnswerFormat,
  Message,
  NeutralRequest,
  Part,
  ReasoningOptions,
  TextPart,
  Tool,
} from '../../domain/neutral-request.ts';
import { unload } from '../carrier.ts';
import { sourceOfUrl } from '../media.ts';
import { asNumber, asObject, asObjects, asString, without } from '../read-json.ts';
import { appendParts, resultTexts, toolCallNames } from '../request-parts.ts';

export const cohereProtocol = 'cohere-chat';

const known = new Set([
  ...['model', 'messages', 'stream', 'tools', 'tool_choice', 'strict_tools', 'response_format', 'max_tokens'],
  ...['temperature', 'p', 'k', 'seed', 'stop_sequences', 'presence_penalty', 'frequency_penalty', 'thinking'],
]);

/** Cohere Chat v2 to neutral. https://docs.cohere.com/reference/chat */
export function decodeCohereRequest(
  body: JsonObject,
  hints: { model: string; isStream: boolean },
): NeutralRequest {
  const choice = asString(body.tool_choice);
  return {
    protocol: cohereProtocol,
    ...hints,
    ...decodeMessages(body.messages),
    tools: asObjects(body.tools).map(tool => decodeTool(tool, body.strict_tools === true)),
    toolChoice:
      choice === 'REQUIRED' ? { type: 'required' } : choice === 'NONE' ? { type: 'none' } : undefined,
    format: decodeFormat(asObject(body.response_format)),
    reasoning: decodeThinking(asObject(body.thinking)),
    sampling: {
      maxTokens: asNumber(body.max_tokens),
      temperature: asNumber(body.temperature),
      topP: asNumber(body.p),
      topK: asNumber(body.k),
      stop: Array.isArray(body.stop_sequences)
        ? body.stop_sequences.filter(each => typeof each === 'string')
        : undefined,
      seed: asNumber(body.seed),
      presencePenalty: asNumber(body.presence_penalty),
      frequencyPenalty: asNumber(body.frequency_penalty),
    },
    unknown: without(body, known),
  };
}

function decodeMessages(value: unknown): { system: TextPart[]; messages: Message[] } {
  if (!Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'The field `messages` must be a list.', {
      reason: 'messages_missing',
      param: 'messages',
    });
  }
  const written = asObjects(value);
  const names = toolCallNames(
    written
      .flatMap(message => asObjects(message.tool_calls))
      .map(call => [unload(asString(call.id) ?? '').id, asString(asObject(call.function)?.name) ?? '']),
  );
  const system: TextPart[] = [];
  const messages: Message[] = [];
  for (const message of written) {
    const parts = decodeContent(message.content);
    switch (message.role) {
      case 'system':
        system.push(...parts.filter(part => part.type === 'text'));
        break;
      case 'assistant':
        appendParts(messages, 'assistant', [...parts, ...asObjects(message.tool_calls).flatMap(decodeCall)]);
        break;
      case 'tool': {
        const callId = unload(asString(message.tool_call_id) ?? '').id;
        const name = names.get(callId);
        const inner = resultTexts(parts);
        appendParts(messages, 'user', [
          { type: 'tool-result', callId, name, input: 'json', parts: inner, isError: false },
        ]);
        break;
      }
      default:
        appendParts(messages, 'user', parts);
    }
  }
  return { system, messages };
}

function decodeContent(content: unknown): Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return asObjects(content).map((part): Part => {
    switch (part.type) {
      case 'text':
        return { type: 'text', text: asString(part.text) ?? '' };
      case 'thinking':
        return { type: 'reasoning', text: asString(part.thinking) ?? '' };
      case 'image_url': {
        const image = asObject(part.image_url);
        const source = sourceOfUrl(asString(image?.url) ?? '');
        return { type: 'image', source, detail: asString(image?.detail) };
      }
      case 'document':
        return { type: 'text', text: JSON.stringify(asObject(part.document)?.data ?? part.document ?? '') };
      default:
        return {
          type: 'foreign',
          protocol: cohereProtocol,
          name: asString(part.type) ?? 'part',
          value: part,
        };
    }
  });
}

function decodeCall(call: JsonObject): Part[] {
  const { id, carried } = unload(asString(call.id) ?? '');
  const named = asObject(call.function);
  return [
    ...carried.reasoning,
    {
      type: 'tool-call',
      id,
      name: asString(named?.name) ?? '',
      input: 'json',
      arguments: asString(named?.arguments) || '{}',
      seal: carried.seal,
    },
  ];
}

function decodeTool(tool: JsonObject, isStrict: boolean): Tool {
  const declared = asObject(tool.function);
  return {
    type: 'function',
    name: asString(declared?.name) ?? '',
    description: asString(declared?.description),
    schema: asObject(declared?.parameters) ?? { type: 'object', properties: {} },
    isStrict: isStrict ? true : undefined,
  };
}

function decodeFormat(format: JsonObject | undefined): AnswerFormat | undefined {
  if (format === undefined || format.type !== 'json_object') return undefined;
  const schema = asObject(format.json_schema) ?? asObject(format.schema);
  return schema === undefined ? { type: 'json' } : { type: 'json-schema', name: undefined, schema };
}

function decodeThinking(thinking: JsonObject | undefined): ReasoningOptions | undefined {
  if (thinking === undefined) return undefined;
  return { isEnabled: thinking.type !== 'disabled', budgetTokens: asNumber(thinking.token_budget) };
}
