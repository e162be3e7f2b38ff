import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Loss } from '../../domain/losses.ts';
import type {
  AnswerFormat,
  Message,
  NeutralRequest,
  ReasoningOptions,
  TextPart,
  Tool,
  ToolChoice,
} from '../../domain/neutral-request.ts';
import { asBoolean, asNumber, asObject, asObjects, asString, without } from '../read-json.ts';
import { appendParts, metadataOf } from '../request-parts.ts';
import { unreadIn } from '../unread.ts';
import { PartReader } from './decode-parts.ts';
import { camelCased, geminiProtocol } from './names.ts';
import { readableGemini } from './readable.ts';
import { toJsonSchema } from './schema.ts';

const known = new Set([
  'model',
  'contents',
  'systemInstruction',
  'tools',
  'toolConfig',
  'generationConfig',
  'labels',
  'serviceTier',
]);

const knownConfig = new Set([
  'candidateCount',
  'maxOutputTokens',
  'stopSequences',
  'temperature',
  'topP',
  'topK',
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'responseMimeType',
  'responseSchema',
  'responseJsonSchema',
  'thinkingConfig',
]);

/** generateContent to neutral (spec/llm-protocols 6.4). The model and whether it streams stand in the path. */
export function decodeGeminiRequest(
  written: JsonObject,
  hints: { model: string; isStream: boolean },
): NeutralRequest {
  const body = camelCased(written);
  const config = asObject(body.generationConfig) ?? {};
  const choice = asObject(asObject(body.toolConfig)?.functionCallingConfig);
  const otherConfig = without(config, knownConfig);
  return {
    protocol: geminiProtocol,
    ...hints,
    system: decodeSystem(body.systemInstruction),
    messages: decodeContents(body.contents),
    tools: oneOrMany(body.tools).flatMap(decodeTool),
    toolChoice: decodeChoice(choice),
    format: decodeFormat(config),
    reasoning: decodeThinking(asObject(config.thinkingConfig)),
    sampling: {
      maxTokens: asNumber(config.maxOutputTokens),
      temperature: asNumber(config.temperature),
      topP: asNumber(config.topP),
      topK: asNumber(config.topK),
      stop: Array.isArray(config.stopSequences)
        ? config.stopSequences.filter(each => typeof each === 'string')
        : undefined,
      seed: asNumber(config.seed),
      presencePenalty: asNumber(config.presencePenalty),
      frequencyPenalty: asNumber(config.frequencyPenalty),
    },
    metadata: metadataOf(body.labels),
    serviceTier: asString(body.serviceTier),
    lost: [...unreadIn(body, readableGemini), ...lostOptions(config, choice)],
    unknown: {
      ...without(body, known),
      ...(Object.keys(otherConfig).length > 0 && { generationConfig: otherConfig }),
    },
  };
}

const mimeTypes = new Set<unknown>(['application/json', 'text/plain']);

/** Values that the neutral model has no word for. */
function lostOptions(
  { candidateCount, responseMimeType }: JsonObject,
  choice: JsonObject | undefined,
): Loss[] {
  const lost: Loss[] = [];
  if (candidateCount != null && candidateCount !== 1)
    lost.push({ parameter: 'generationConfig.candidateCount', action: 'dropped' });
  if (responseMimeType != null && !mimeTypes.has(responseMimeType))
    lost.push({ parameter: 'generationConfig.responseMimeType', action: 'changed' });
  if (choice?.mode === 'VALIDATED' && choice.allowedFunctionNames === undefined)
    lost.push({ parameter: 'toolConfig.functionCallingConfig.mode', action: 'changed' });
  return lost;
}

function decodeSystem(instruction: unknown): TextPart[] {
  if (typeof instruction === 'string') return [{ type: 'text', text: instruction }];
  const parts = asObject(instruction)?.parts ?? instruction;
  return oneOrMany(parts).flatMap(({ text }) => {
    const said = asString(text);
    return said === undefined ? [] : [{ type: 'text', text: said } as const];
  });
}

/** Google takes one object where a list has to be. */
function oneOrMany(value: unknown): readonly JsonObject[] {
  return asObjects(Array.isArray(value) ? value : [value]);
}

function decodeContents(contents: unknown): Message[] {
  if (!Array.isArray(contents) && asObject(contents) === undefined) {
    throw new GatewayError('invalid_request', 'The field `contents` must be a list.', {
      reason: 'messages_missing',
      param: 'contents',
    });
  }
  const messages: Message[] = [];
  const reader = new PartReader();
  for (const { role, parts } of oneOrMany(contents)) {
    appendParts(messages, role === 'model' ? 'assistant' : 'user', reader.read(oneOrMany(parts)));
  }
  return messages;
}

function decodeTool(tool: JsonObject): Tool[] {
  const { functionDeclarations, ...hosted } = tool;
  const functions = oneOrMany(functionDeclarations).map((declared): Tool => {
    const schema = asObject(declared.parametersJsonSchema);
    return {
      type: 'function',
      name: asString(declared.name) ?? '',
      description: asString(declared.description),
      schema: schema ?? toJsonSchema(asObject(declared.parameters) ?? { type: 'object', properties: {} }),
    };
  });
  const others = Object.entries(hosted).map(
    ([name, value]): Tool => ({ type: 'hosted', protocol: geminiProtocol, name, value: { [name]: value } }),
  );
  return [...functions, ...others];
}

function decodeChoice(calling: JsonObject | undefined): ToolChoice | undefined {
  const names = Array.isArray(calling?.allowedFunctionNames)
    ? calling.allowedFunctionNames.filter(each => typeof each === 'string')
    : [];
  const [first] = names;
  switch (asString(calling?.mode)?.toUpperCase()) {
    case 'NONE':
      return { type: 'none' };
    case 'ANY':
      if (first === undefined) return { type: 'required' };
      return names.length === 1 ? { type: 'tool', name: first } : { type: 'subset', names, isRequired: true };
    case 'VALIDATED':
      return first === undefined ? { type: 'auto' } : { type: 'subset', names, isRequired: false };
    case 'AUTO':
      return { type: 'auto' };
    default:
      return undefined;
  }
}

function decodeFormat(config: JsonObject): AnswerFormat | undefined {
  const json = asObject(config.responseJsonSchema);
  const schema =
    json ?? (asObject(config.responseSchema) && toJsonSchema(asObject(config.responseSchema) ?? {}));
  if (schema !== undefined) return { type: 'json-schema', name: undefined, schema };
  return config.responseMimeType === 'application/json' ? { type: 'json' } : undefined;
}

function decodeThinking(thinking: JsonObject | undefined): ReasoningOptions | undefined {
  if (thinking === undefined) return undefined;
  const budget = asNumber(thinking.thinkingBudget);
  if (budget === 0) return { isEnabled: false };
  return {
    isEnabled: true,
    effort: asString(thinking.thinkingLevel)?.toLowerCase(),
    budgetTokens: budget === undefined || budget < 0 ? undefined : budget, // -1: as much as the model likes
    isShown: asBoolean(thinking.includeThoughts) ?? false,
  };
}
