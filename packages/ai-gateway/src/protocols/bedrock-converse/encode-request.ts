import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import type { AnswerFormat, NeutralRequest, Tool } from '../../domain/neutral-request.ts';
import { claudeSampling } from '../claude-sampling.ts';
import { type ClaudeThinking, claudeThinking, noClaudeThinking } from '../claude-thinking.ts';
import { asObject, defined } from '../read-json.ts';
import { reportDropped, reportUnknown, spokenMessages, withUserTurn } from '../request-losses.ts';
import { ToolNames } from '../tool-names.ts';
import { converseProtocol } from './decode-request.ts';
import { CachePoints, encodeMessages, encodeSystem } from './encode-messages.ts';

export const converseNameLength = 64;

/** Neutral to Converse. Model and streaming stand in the path. */
export function encodeConverseRequest(
  asked: NeutralRequest,
  target: EncodeTarget,
  losses: Losses,
): JsonObject {
  const request = withUserTurn(asked, losses);
  const names = new ToolNames(request, converseNameLength);
  const points = new CachePoints(losses);
  const { additionalModelRequestFields, ...unknown } = reportUnknown(request, converseProtocol, losses);
  const { sampling } = request;
  reportDropped(
    {
      seed: sampling.seed,
      presence_penalty: sampling.presencePenalty,
      frequency_penalty: sampling.frequencyPenalty,
      verbosity: request.verbosity,
      prompt_cache_key: request.promptCacheKey,
      user: request.user,
      'response_format.json_object': request.format?.type === 'json' ? true : undefined,
    },
    losses,
  );
  const tools = encodeToolConfig(request, { names, points, losses });
  const system = encodeSystem(request.system, points);
  const spoken = spokenMessages(request.messages, converseProtocol, losses);
  const messages = encodeMessages(spoken, { target, names, points, losses });
  const thinking = encodeThinking(request, target, { losses, messages });
  const type = thinking.option?.type;
  const isThinking = type !== undefined && type !== 'disabled';
  const sampled = isClaude(target)
    ? claudeSampling(sampling, { model: target.model, isThinking, losses })
    : within(sampling, losses);
  const fields = defined({
    ...asObject(additionalModelRequestFields),
    thinking: thinking.option,
    ...parallelField(request, target, losses),
    top_k: topKOf(sampled.topK, target, losses),
  });
  const inferenceConfig = defined({
    maxTokens: sampling.maxTokens,
    temperature: sampled.temperature,
    topP: sampled.topP,
    stopSequences: sampling.stop && sampling.stop.length > 0 ? sampling.stop : undefined,
  });
  const outputConfig = defined({ textFormat: encodeFormat(request.format), effort: thinking.effort });
  return {
    ...unknown,
    messages,
    system: system.length > 0 ? system : undefined,
    inferenceConfig: orAbsent(inferenceConfig),
    toolConfig: tools,
    additionalModelRequestFields: orAbsent(fields),
    outputConfig: orAbsent(outputConfig),
    requestMetadata: request.metadata,
    serviceTier: tierOf(request.serviceTier, losses),
  };
}

function orAbsent(object: JsonObject): JsonObject | undefined {
  return Object.keys(object).length > 0 ? object : undefined;
}

const tiers = new Set(['default', 'flex', 'priority', 'reserved']);

function tierOf(tier: string | undefined, losses: Losses): JsonObject | undefined {
  if (tier === undefined || tier === 'auto') return undefined;
  if (tiers.has(tier)) return { type: tier };
  losses.dropped('service_tier');
  return undefined;
}

/** Fields that Claude takes beside Converse's own. */
function isClaude(target: EncodeTarget): boolean {
  return target.model.includes('claude');
}

/** Converse has temperatures from 0 to 1. */
function within({ temperature, topP, topK }: NeutralRequest['sampling'], losses: Losses) {
  const isTooHot = temperature !== undefined && temperature > 1;
  if (isTooHot) losses.changed('temperature');
  return { temperature: isTooHot ? 1 : temperature, topP, topK };
}

function topKOf(topK: number | undefined, target: EncodeTarget, losses: Losses): number | undefined {
  if (topK === undefined || isClaude(target)) return topK;
  losses.dropped('top_k');
  return undefined;
}

/** As Claude itself has it: its own field stands over what Converse says. */
function claudeChoice({ toolChoice }: NeutralRequest): JsonObject {
  if (toolChoice?.type === 'tool') return { type: 'tool', name: toolChoice.name };
  const isForced =
    toolChoice?.type === 'required' || (toolChoice?.type === 'subset' && toolChoice.isRequired);
  return { type: isForced ? 'any' : 'auto' };
}

function parallelField(request: NeutralRequest, target: EncodeTarget, losses: Losses): JsonObject {
  if (request.isParallel !== false || request.tools.length === 0) return {};
  if (isClaude(target)) return { tool_choice: { ...claudeChoice(request), disable_parallel_tool_use: true } };
  losses.dropped('parallel_tool_calls');
  return {};
}

function encodeFormat(format: AnswerFormat | undefined): JsonObject | undefined {
  if (format?.type !== 'json-schema') return undefined;
  const { name, description, schema } = format;
  const jsonSchema = { schema: JSON.stringify(schema), name, description };
  return { type: 'json_schema', structure: { jsonSchema } };
}

/** A forced tool and a loop that another provider began rule the thinking of Claude out; others take an effort. */
function encodeThinking(
  request: NeutralRequest,
  target: EncodeTarget,
  { losses, messages }: { losses: Losses; messages: readonly JsonObject[] },
): ClaudeThinking {
  const { reasoning, toolChoice } = request;
  if (reasoning === undefined) return {};
  const isOff = !reasoning.isEnabled || reasoning.effort === 'none';
  if (isOff) return isClaude(target) ? noClaudeThinking(target.model, losses) : {};
  if (!isClaude(target)) return effortAlone(reasoning.effort, losses);
  const isForced = toolChoice?.type === 'required' || toolChoice?.type === 'tool';
  if (isForced || isLoopWithoutThinking(messages)) {
    losses.dropped('reasoning');
    return {};
  }
  return claudeThinking(request, target, { inDoubt: 'budget', losses });
}

function effortAlone(effort: string | undefined, losses: Losses): ClaudeThinking {
  if (effort === undefined) {
    losses.dropped('reasoning');
    return {};
  }
  const known = effort === 'minimal' ? 'low' : effort;
  if (known !== effort) losses.changed('reasoning.effort');
  return { effort: known };
}

/** Whether the last turn of the assistant made calls that are being answered, and does not begin with its thinking. */
function isLoopWithoutThinking(messages: readonly JsonObject[]): boolean {
  const blocksOf = (message: JsonObject | undefined) => (message?.content ?? []) as readonly JsonObject[]; // as written above
  if (!blocksOf(messages.at(-1)).some(block => block.toolResult !== undefined)) return false;
  const first = blocksOf(messages.at(-2))[0];
  return first !== undefined && first.reasoningContent === undefined;
}

interface ToolDeps {
  readonly names: ToolNames;
  readonly points: CachePoints;
  readonly losses: Losses;
}

/** There is no choice `none`: the tools are left out then, unless the history holds calls, which need them. */
function encodeToolConfig(request: NeutralRequest, deps: ToolDeps): JsonObject | undefined {
  const { toolChoice } = request;
  const hasHistory = request.messages.some(({ parts }) =>
    parts.some(part => part.type === 'tool-call' || part.type === 'tool-result'),
  );
  if (toolChoice?.type === 'none') {
    if (!hasHistory) return undefined;
    deps.losses.changed('tool_choice');
  }
  const tools = offered(request, deps.losses).flatMap(tool => encodeTool(tool, deps));
  if (tools.length === 0) return hasHistory ? { tools: historyTools(request, deps.names) } : undefined;
  return { tools, toolChoice: encodeChoice(request, deps.names) };
}

/** A history with calls is taken only together with the tools that were called. */
function historyTools(request: NeutralRequest, names: ToolNames): JsonObject[] {
  const called = request.messages.flatMap(({ parts }) =>
    parts.flatMap(part => (part.type === 'tool-call' ? [names.wire(part.name)] : [])),
  );
  const unique = [...new Set(called.length > 0 ? called : ['tool'])];
  return unique.map(name => ({ toolSpec: { name, inputSchema: { json: { type: 'object' } } } }));
}

function offered({ tools, toolChoice }: NeutralRequest, losses: Losses): readonly Tool[] {
  if (toolChoice?.type !== 'subset') return tools;
  losses.changed('tool_choice');
  return tools.filter(tool => toolChoice.names.includes(tool.name));
}

function encodeTool(tool: Tool, { names, points, losses }: ToolDeps): JsonObject[] {
  if (tool.type === 'function') {
    const json = tool.schema.type === 'object' ? tool.schema : { ...tool.schema, type: 'object' };
    const spec = {
      name: names.wire(tool.name),
      description: tool.description || undefined,
      inputSchema: { json },
      strict: tool.isStrict === true ? true : undefined,
    };
    return [{ toolSpec: spec }, ...points.after(tool.cache)];
  }
  if (tool.type === 'hosted' && tool.protocol === converseProtocol) return [asObject(tool.value) ?? {}];
  losses.dropped(`tools.${tool.name}`);
  return [];
}

function encodeChoice({ toolChoice }: NeutralRequest, names: ToolNames): JsonObject | undefined {
  switch (toolChoice?.type) {
    case 'required':
      return { any: {} };
    case 'tool':
      return { tool: { name: names.wire(toolChoice.name) } };
    case 'subset':
      return toolChoice.isRequired ? { any: {} } : { auto: {} };
    case 'auto':
      return { auto: {} };
    default:
      return undefined;
  }
}
