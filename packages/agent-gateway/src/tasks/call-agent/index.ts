import * as z from 'zod';
import { type ChatMessage, functionName, modelCallId, readConversation } from '../../agents/conversation.ts';
import type { ModelCall } from '../../agents/model-call.ts';
import { isRepeatable, listTools, type ToolInfo, type ToolList } from '../../agents/tools.ts';
import { runError } from '../../domain/run-error.ts';
import type { CallState } from '../../domain/run-state.ts';
import { defineTask, type Move, type PlannedCall } from '../../domain/task-type.ts';
import type { TaskNode, Template } from '../../domain/workflow.ts';
import { checkShape } from '../check-shape.ts';

const withSchema = z.strictObject({
  /** A name for traces and for the chain of actors. */
  agent: z.string().min(1).max(100).optional(),
  model: z.string().min(1),
  instructions: z.string().optional(),
  /** The task of the agent: a text, or a value that is handed over as JSON. */
  input: z.unknown().optional(),
  /** Globs over the names that mcp-gateway gives tools. None: no tools. */
  tools: z.array(z.string().min(1)).max(100).default([]),
  maxTurns: z.number().int().min(1).max(100).default(12),
  temperature: z.number().min(0).max(2).optional(),
  maxTokens: z.number().int().min(1).optional(),
});

interface Options {
  readonly agent: string;
  readonly model: Template;
  readonly instructions: Template | undefined;
  readonly input: Template | undefined;
  readonly tools: readonly string[];
  readonly maxTurns: number;
  readonly sampling: ModelCall['sampling'];
}

interface Arguments {
  readonly model: string;
  readonly instructions: string | null;
  readonly prompt: string;
}

/**
 * `call: agent`: asks a model, lets it use tools, and goes on until it answers without wanting another. Every question to
 * the model and every use of a tool is a call of its own in the journal, so nothing that was paid for is paid for again.
 */
export const callAgentTask = defineTask<Options | undefined, Arguments>({
  type: 'call:agent',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const shape = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (shape === undefined) return undefined;
    const part = (value: unknown, name: string) =>
      value === undefined ? undefined : context.template(value, `${pointer}/${name}`);
    const { temperature, maxTokens } = shape;
    return {
      agent: shape.agent ?? nameOf(context.path),
      model: context.template(shape.model, `${pointer}/model`),
      instructions: part(shape.instructions, 'instructions'),
      input: part(shape.input, 'input'),
      tools: shape.tools,
      maxTurns: shape.maxTurns,
      sampling: {
        ...(temperature !== undefined && { temperature }),
        ...(maxTokens !== undefined && { max_tokens: maxTokens }),
      },
    };
  },
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    const { model, instructions, input } = options;
    return {
      model: asText(await scope.evaluate(model)),
      instructions: instructions === undefined ? null : asText(await scope.evaluate(instructions)),
      prompt: asText(input === undefined ? scope.input : await scope.evaluate(input)),
    };
  },
  plan({ node, options, arguments: prepared, calls }) {
    if (options === undefined) throw new Error('The task was not compiled');
    const tools = readTools(options, calls);
    if (tools.type !== 'known') return tools.move;
    const conversation = readConversation({ opening: openingOf(prepared), tools: tools.list, calls });
    switch (conversation.type) {
      case 'answered': {
        const { answer, turn, toolCalls } = conversation;
        const { message, finishReason, model } = answer;
        return {
          type: 'complete',
          output: { content: message.content ?? '', finishReason, model, turns: turn, toolCalls },
        };
      }
      case 'model-failed':
        return failedCall(calls.get(modelCallId(conversation.turn)), node);
      case 'use-tools':
        return {
          type: 'calls',
          calls: conversation.requests.map(({ call, tool, arguments: input }) => ({
            id: call,
            effect: 'mcp',
            label: `tools/call ${tool.name}`,
            request: {
              method: 'tools/call',
              params: { name: tool.name, arguments: input },
              actor: options.agent,
            },
            inDoubt: node.onInDoubt ?? (isRepeatable(tool) ? 'retry' : 'park'),
          })),
        };
      case 'ask-model': {
        const { turn, messages } = conversation;
        if (turn > options.maxTurns) return tooManyTurns(options.maxTurns, node);
        return { type: 'calls', calls: [askModel({ turn, messages, options, prepared, tools: tools.list })] };
      }
    }
  },
});

type KnownTools =
  | { readonly type: 'known'; readonly list: readonly ToolInfo[] }
  | { readonly type: 'unknown'; readonly move: Move };

/** The tools are listed once and recorded: the model meets the same ones in every turn and after every crash. */
function readTools(options: Options, calls: ReadonlyMap<string, CallState>): KnownTools {
  if (options.tools.length === 0) return { type: 'known', list: [] };
  const listed = calls.get('tools');
  if (listed?.status === 'completed') return { type: 'known', list: (listed.result as ToolList).tools }; // from the effect `mcp`
  if (listed?.status === 'failed') return { type: 'unknown', move: { type: 'fail', error: listed.error } };
  const call: PlannedCall = {
    id: 'tools',
    effect: 'mcp',
    label: 'tools/list',
    request: listTools(options.tools),
    inDoubt: 'retry',
  };
  return { type: 'unknown', move: { type: 'calls', calls: [call] } };
}

function askModel(turn: {
  turn: number;
  messages: readonly ChatMessage[];
  options: Options;
  prepared: Arguments;
  tools: readonly ToolInfo[];
}): PlannedCall {
  const { options, prepared, messages, tools } = turn;
  const request: ModelCall = {
    actor: options.agent,
    model: prepared.model,
    messages,
    tools: tools.map(tool => ({
      type: 'function',
      function: {
        name: functionName(tool.name),
        description: tool.description ?? '',
        parameters: tool.inputSchema ?? { type: 'object', properties: {} },
      },
    })),
    sampling: options.sampling,
  };
  return {
    id: modelCallId(turn.turn),
    effect: 'llm',
    label: `chat ${prepared.model}`,
    request,
    inDoubt: 'retry',
  };
}

function openingOf({ instructions, prompt }: Arguments): ChatMessage[] {
  const user: ChatMessage = { role: 'user', content: prompt };
  return instructions === null ? [user] : [{ role: 'system', content: instructions }, user];
}

function failedCall(call: CallState | undefined, node: TaskNode): Move {
  if (call?.status === 'failed') return { type: 'fail', error: call.error };
  throw new Error(`The model call of '${node.path}' has not failed`);
}

function tooManyTurns(maxTurns: number, node: TaskNode): Move {
  return {
    type: 'fail',
    error: runError('runtime', {
      status: 500,
      detail: `The agent did not answer within ${maxTurns} turns.`,
      instance: node.path,
      reason: 'agent_turns_exhausted',
    }),
  };
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);

function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value ?? null);
}
