import type { EncodeTarget } from '../../domain/codec.ts';
import type { JsonObject } from '../../domain/json-object.ts';
import type { Losses } from '../../domain/losses.ts';
import type { NeutralRequest, Tool, ToolChoice } from '../../domain/neutral-request.ts';
import { claudeSampling } from '../claude-sampling.ts';
import { type ClaudeThinking, claudeThinking, noClaudeThinking } from '../claude-thinking.ts';
import { asObject } from '../read-json.ts';
import {
  behind,
  describedSchema,
  reportDropped,
  reportUnknown,
  spokenMessages,
  withUserTurn,
} from '../request-losses.ts';
import { ToolNames } from '../tool-names.ts';
import { messagesProtocol } from './decode-request.ts';
import { CacheMarks, encodeMessages, encodeSystem } from './encode-messages.ts';

export const messagesNameLength = 128;
/** The protocol wants a limit; this is what a client gets that gave none, of a model whose own is not known. */
const defaultMaxTokens = 8192;

/** Neutral to Messages. */
export function encodeMessagesRequest(
  asked: NeutralRequest,
  target: EncodeTarget,
  losses: Losses,
): JsonObject {
  const request = withUserTurn(asked, losses);
  const names = new ToolNames(request, messagesNameLength);
  const marks = new CacheMarks(losses);
  const tools = offered(request, losses).flatMap(tool => encodeTool(tool, { names, marks, losses }));
  const system = encodeSystem(request.system, marks);
  const spoken = spokenMessages(request.messages, messagesProtocol, losses);
  const messages = encodeMessages(spoken, { target, names, marks, losses });
  const choice = tools.length === 0 ? undefined : encodeChoice(request, names);
  const { sampling } = request;
  reportDropped(
    {
      seed: sampling.seed,
      presence_penalty: sampling.presencePenalty,
      frequency_penalty: sampling.frequencyPenalty,
      verbosity: request.verbosity,
      prompt_cache_key: request.promptCacheKey,
      metadata: request.metadata,
    },
    losses,
  );
  const thinking = encodeThinking(request, { messages, choice, losses, target });
  const isThinking = thinking.option !== undefined && thinking.option.type !== 'disabled';
  const sampled = claudeSampling(sampling, { model: target.model, isThinking, losses });
  return behind(reportUnknown(request, messagesProtocol, losses), {
    model: target.model,
    max_tokens: maxTokensOf(request, target, thinking.budget),
    system: system.length > 0 ? system : undefined,
    messages,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: choice,
    thinking: thinking.option,
    output_config: outputConfig(request, thinking.effort, losses),
    temperature: sampled.temperature,
    top_p: sampled.topP,
    top_k: sampled.topK,
    stop_sequences: sampling.stop && sampling.stop.length > 0 ? sampling.stop : undefined,
    metadata: request.user === undefined ? undefined : { user_id: request.user },
    service_tier: tierOf(request.serviceTier, losses),
    stream: request.isStream ? true : undefined,
  });
}

function maxTokensOf(
  { sampling }: NeutralRequest,
  { maxOutputTokens }: EncodeTarget,
  budget: number | undefined,
): number {
  return sampling.maxTokens ?? maxOutputTokens ?? defaultMaxTokens + (budget ?? 0);
}

function tierOf(tier: string | undefined, losses: Losses): string | undefined {
  if (tier === undefined || tier === 'auto' || tier === 'standard_only') return tier;
  if (tier === 'default') return 'standard_only';
  losses.dropped('service_tier');
  return undefined;
}

function outputConfig(
  { format }: NeutralRequest,
  effort: string | undefined,
  losses: Losses,
): JsonObject | undefined {
  if (effort === undefined && format?.type !== 'json-schema') return undefined;
  const schema = format?.type === 'json-schema' ? describedSchema(format, losses) : undefined;
  return { effort, format: schema && { type: 'json_schema', schema } };
}

/** Thinking is off where the protocol would refuse it: with a forced tool, and in a tool loop whose own thinking is not here, because another provider began it. */
function encodeThinking(
  request: NeutralRequest,
  {
    messages,
    choice,
    losses,
    target,
  }: {
    messages: readonly JsonObject[];
    choice: JsonObject | undefined;
    losses: Losses;
    target: EncodeTarget;
  },
): ClaudeThinking {
  const { reasoning } = request;
  if (reasoning === undefined) return {};
  if (!reasoning.isEnabled || reasoning.effort === 'none') return noClaudeThinking(target.model, losses);
  const isForced = choice?.type === 'any' || choice?.type === 'tool';
  if (isForced || isLoopWithoutThinking(messages)) {
    losses.dropped('reasoning');
    return {};
  }
  return claudeThinking(request, target, { inDoubt: 'adaptive', losses });
}

/** Whether the last turn of the assistant made calls that are being answered, and does not begin with its thinking. */
function isLoopWithoutThinking(messages: readonly JsonObject[]): boolean {
  const blocksOf = (message: JsonObject | undefined) => (message?.content ?? []) as readonly JsonObject[]; // as written above
  if (!blocksOf(messages.at(-1)).some(block => block.type === 'tool_result')) return false;
  const first = blocksOf(messages.at(-2))[0];
  return first !== undefined && first.type !== 'thinking' && first.type !== 'redacted_thinking';
}

function offered({ tools, toolChoice }: NeutralRequest, losses: Losses): readonly Tool[] {
  if (toolChoice?.type !== 'subset') return tools;
  losses.changed('tool_choice');
  return tools.filter(tool => toolChoice.names.includes(tool.name));
}

function encodeTool(
  tool: Tool,
  { names, marks, losses }: { names: ToolNames; marks: CacheMarks; losses: Losses },
): JsonObject[] {
  if (tool.type === 'function') {
    const { description, schema, isStrict } = tool;
    const input = schema.type === 'object' ? schema : { ...schema, type: 'object' };
    return [
      {
        name: names.wire(tool.name),
        description,
        input_schema: input,
        strict: isStrict === true ? true : undefined,
        ...marks.of(tool.cache),
      },
    ];
  }
  if (tool.type === 'hosted' && tool.protocol === messagesProtocol) return [asObject(tool.value) ?? {}];
  losses.dropped(`tools.${tool.name}`);
  return [];
}

function encodeChoice({ toolChoice, isParallel }: NeutralRequest, names: ToolNames): JsonObject | undefined {
  const parallel = isParallel === false ? { disable_parallel_tool_use: true } : {};
  if (toolChoice === undefined) return isParallel === false ? { type: 'auto', ...parallel } : undefined;
  if (toolChoice.type === 'none') return { type: 'none' };
  if (toolChoice.type === 'tool') return { type: 'tool', name: names.wire(toolChoice.name), ...parallel };
  return { type: isForcing(toolChoice) ? 'any' : 'auto', ...parallel };
}

function isForcing(choice: ToolChoice): boolean {
  return choice.type === 'required' || (choice.type === 'subset' && choice.isRequired);
}
