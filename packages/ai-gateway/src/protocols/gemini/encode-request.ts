import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import type { AnswerFormat, NeutralRequest, Tool } from '../../domain/neutral-request.ts';
import { asObject, defined } from '../read-json.ts';
import {
  budgetOf,
  describedSchema,
  reportDropped,
  reportUnknown,
  spokenMessages,
  withUserTurn,
} from '../request-losses.ts';
import { ToolNames } from '../tool-names.ts';
import { ContentWriter } from './encode-contents.ts';
import { geminiProtocol } from './names.ts';

export const geminiNameLength = 64;
const maxStops = 5;

/** Neutral to generateContent. Its cache needs no marks; model and streaming stand in the path. */
export function encodeGeminiRequest(asked: NeutralRequest, target: EncodeTarget, losses: Losses): JsonObject {
  const request = withUserTurn(asked, losses);
  const names = new ToolNames(request, geminiNameLength);
  const { generationConfig, ...unknown } = reportUnknown(request, geminiProtocol, losses);
  const tools = encodeTools(request, names, losses);
  const writer = new ContentWriter({ target, names, losses });
  reportDropped(
    {
      user: request.user,
      verbosity: request.verbosity,
      prompt_cache_key: request.promptCacheKey,
      parallel_tool_calls: request.isParallel === false ? true : undefined,
      metadata: request.protocol === geminiProtocol ? undefined : request.metadata,
      service_tier: request.protocol === geminiProtocol ? undefined : request.serviceTier,
    },
    losses,
  );
  const config = defined({
    ...asObject(generationConfig),
    ...encodeSampling(request, losses),
    ...encodeFormat(request.format, losses),
    thinkingConfig: encodeThinking(request, target, losses),
  });
  const system = request.system.filter(part => part.text !== '').map(({ text }) => ({ text }));
  return {
    ...unknown,
    contents: writer.contents(spokenMessages(request.messages, geminiProtocol, losses)),
    systemInstruction: system.length > 0 ? { parts: system } : undefined,
    tools: tools.length > 0 ? tools : undefined,
    toolConfig: tools.length > 0 ? encodeChoice(request, names) : undefined,
    generationConfig: Object.keys(config).length > 0 ? config : undefined,
    labels: request.protocol === geminiProtocol ? request.metadata : undefined,
    serviceTier: request.protocol === geminiProtocol ? request.serviceTier : undefined,
  };
}

function encodeSampling({ sampling }: NeutralRequest, losses: Losses): JsonObject {
  const { stop } = sampling;
  if (stop !== undefined && stop.length > maxStops) losses.changed('stop');
  return {
    maxOutputTokens: sampling.maxTokens,
    temperature: sampling.temperature,
    topP: sampling.topP,
    topK: sampling.topK,
    stopSequences: stop !== undefined && stop.length > 0 ? stop.slice(0, maxStops) : undefined,
    seed: sampling.seed,
    presencePenalty: sampling.presencePenalty,
    frequencyPenalty: sampling.frequencyPenalty,
  };
}

function encodeFormat(format: AnswerFormat | undefined, losses: Losses): JsonObject {
  if (format === undefined || format.type === 'text') return {};
  return {
    responseMimeType: 'application/json',
    responseJsonSchema: format.type === 'json-schema' ? describedSchema(format, losses) : undefined,
  };
}

/** Models before Gemini 3 take a budget, later ones a level (spec/llm-protocols 6.6). */
function takesBudget(model: string): boolean {
  return /gemini-(?:1|2)[.-]/.test(model);
}

const levels = ['minimal', 'low', 'medium', 'high'];

function encodeThinking(
  { reasoning }: NeutralRequest,
  { model }: EncodeTarget,
  losses: Losses,
): JsonObject | undefined {
  if (reasoning === undefined) return undefined;
  const { effort, budgetTokens, isShown } = reasoning;
  const isOff = !reasoning.isEnabled || effort === 'none';
  const includeThoughts = isOff ? undefined : isShown !== false;
  if (takesBudget(model) || budgetTokens !== undefined) {
    const budget = budgetTokens ?? (effort === undefined ? undefined : budgetOf(effort));
    return { includeThoughts, thinkingBudget: isOff ? 0 : budget };
  }
  if (isOff) return { thinkingLevel: 'minimal' };
  const level = effort === undefined || levels.includes(effort) ? effort : 'high';
  if (level !== effort) losses.changed('reasoning.effort');
  return { includeThoughts, thinkingLevel: level };
}

function encodeTools({ tools }: NeutralRequest, names: ToolNames, losses: Losses): JsonObject[] {
  const functionDeclarations: JsonObject[] = [];
  const hosted: JsonObject[] = [];
  for (const tool of tools) {
    if (tool.type === 'function') {
      functionDeclarations.push(declaration(tool, names));
      if (tool.isStrict) losses.dropped('tools.strict');
    } else if (tool.type === 'hosted' && tool.protocol === geminiProtocol)
      hosted.push(asObject(tool.value) ?? {});
    else losses.dropped(`tools.${tool.name}`);
  }
  return [...(functionDeclarations.length > 0 ? [{ functionDeclarations }] : []), ...hosted];
}

function declaration(tool: Extract<Tool, { type: 'function' }>, names: ToolNames): JsonObject {
  const hasParameters =
    Object.keys(asObject(tool.schema.properties) ?? {}).length > 0 || tool.schema.type !== 'object';
  return {
    name: names.wire(tool.name),
    description: tool.description,
    parametersJsonSchema: hasParameters || tool.schema.additionalProperties ? tool.schema : undefined,
  };
}

function encodeChoice({ toolChoice }: NeutralRequest, names: ToolNames): JsonObject | undefined {
  if (toolChoice === undefined) return undefined;
  return { functionCallingConfig: callingConfig(toolChoice, names) };
}

function callingConfig(choice: NonNullable<NeutralRequest['toolChoice']>, names: ToolNames): JsonObject {
  switch (choice.type) {
    case 'auto':
      return { mode: 'AUTO' };
    case 'none':
      return { mode: 'NONE' };
    case 'required':
      return { mode: 'ANY' };
    case 'tool':
      return { mode: 'ANY', allowedFunctionNames: [names.wire(choice.name)] };
    case 'subset':
      return {
        mode: choice.isRequired ? 'ANY' : 'VALIDATED',
        allowedFunctionNames: choice.names.map(name => names.wire(name)),
      };
  }
}
