import * as z from 'zod';
import {
  compileModelOptions,
  type ModelOptions,
  modelShape,
  openingOf,
  type PreparedQuestion,
  prepareQuestion,
} from '../../agents/model-options.ts';
import { planConversation } from '../../agents/plan-conversation.ts';
import { listTools, type ToolInfo, type ToolList } from '../../agents/tools.ts';
import type { CallState } from '../../domain/call-state.ts';
import { defineTask, type Move, type PlannedCall } from '../../domain/task-type.ts';
import { checkShape } from '../check-shape.ts';

const withSchema = z.strictObject({
  ...modelShape,
  /** A name for traces and for the chain of actors. */
  agent: z.string().min(1).max(100).optional(),
  /** Globs over the names that mcp-gateway gives tools. None: no tools. */
  tools: z.array(z.string().min(1)).max(100).default([]),
  /** The virtual server of mcp-gateway that has the tools. Without it, the whole gateway. */
  namespace: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'Expected the name of a namespace')
    .optional(),
  maxTurns: z.number().int().min(1).max(100).default(12),
});

interface Options extends ModelOptions {
  readonly agent: string;
  readonly tools: readonly string[];
  readonly namespace: string | undefined;
  readonly maxTurns: number;
}

/**
 * `call: agent`: asks a model, lets it use tools, and goes on until it answers without wanting another. Every question to
 * the model and every use of a tool is a call of its own in the journal, so nothing that was paid for is paid for again.
 */
export const callAgentTask = defineTask<Options | undefined, PreparedQuestion>({
  type: 'call:agent',
  keys: ['call', 'with'],
  compile(definition, context) {
    const pointer = `${context.path}/with`;
    const given = checkShape(withSchema, { value: definition.with, pointer }, context);
    if (given === undefined) return undefined;
    const { agent, tools, namespace, maxTurns } = given;
    return {
      ...compileModelOptions(given, { context, pointer }),
      agent: agent ?? nameOf(context.path),
      tools,
      namespace,
      maxTurns,
    };
  },
  agentOf: options => options?.agent,
  async prepare(options, scope) {
    if (options === undefined) throw new Error('The task was not compiled');
    return prepareQuestion(options, scope);
  },
  plan({ node, options, arguments: question, calls }) {
    if (options === undefined) throw new Error('The task was not compiled');
    const tools = readTools(options, calls);
    if (tools.type !== 'known') return tools.move;
    return planConversation({
      ...options,
      node,
      calls,
      actor: options.agent,
      model: question.model,
      opening: openingOf(question),
      tools: tools.list,
    });
  },
});

type KnownTools =
  | { readonly type: 'known'; readonly list: readonly ToolInfo[] }
  | { readonly type: 'unknown'; readonly move: Move };

/** The tools are listed once and recorded: the model meets the same ones in every turn and after every crash. */
function readTools({ tools, namespace }: Options, calls: ReadonlyMap<string, CallState>): KnownTools {
  if (tools.length === 0) return { type: 'known', list: [] };
  const listed = calls.get('tools');
  if (listed?.status === 'completed') return { type: 'known', list: (listed.result as ToolList).tools }; // from the effect `mcp`
  if (listed?.status === 'failed') return { type: 'unknown', move: { type: 'fail', error: listed.error } };
  const call: PlannedCall = {
    id: 'tools',
    effect: 'mcp',
    label: 'tools/list',
    request: { ...listTools(tools), ...(namespace !== undefined && { namespace }) },
    inDoubt: 'retry',
  };
  return { type: 'unknown', move: { type: 'calls', calls: [call] } };
}

const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);
