import type { CallState } from '../domain/call-state.ts';
import { runError } from '../domain/run-error.ts';
import type { Move, PlannedCall } from '../domain/task-type.ts';
import type { TaskNode } from '../domain/workflow.ts';
import type { ChatMessage } from './chat-message.ts';
import { estimateAll, fitConversation } from './context-window.ts';
import { type Conversation, functionName, modelCallId, readConversation } from './conversation.ts';
import type { ModelCall } from './model-call.ts';
import { checkOutput } from './structured-output.ts';
import { isRepeatable, type ToolInfo } from './tools.ts';

export interface ConversationPlan {
  readonly node: TaskNode;
  readonly calls: ReadonlyMap<string, CallState>;
  /** For traces and for the chain of actors. */
  readonly actor: string;
  readonly model: string;
  readonly opening: readonly ChatMessage[];
  readonly tools: readonly ToolInfo[];
  /** Virtual server of mcp-gateway that has the tools. */
  readonly namespace?: string | undefined;
  readonly outputSchema: unknown;
  readonly maxTurns: number;
  readonly maxContextTokens: number;
  readonly sampling: ModelCall['sampling'];
}

/** What a conversation with a model wants next. Every question and every use of a tool is a call of its own. */
export function planConversation(plan: ConversationPlan): Move {
  const { node, calls, opening, tools, outputSchema } = plan;
  const conversation = readConversation({ opening, tools, calls, isStructured: outputSchema !== undefined });
  switch (conversation.type) {
    case 'answered':
      return { type: 'complete', output: outputOf(conversation) };
    case 'call-failed':
      return { type: 'fail', error: conversation.error };
    case 'output-invalid':
      return failed(
        node,
        `The answer does not match its schema: ${conversation.problems.slice(0, 3).join('; ')}.`,
        'agent_output_invalid',
      );
    case 'check-output': {
      const { turn, text } = conversation;
      return { type: 'calls', calls: [checkOutput(turn, { schema: outputSchema, text })] };
    }
    case 'use-tools':
      return { type: 'calls', calls: conversation.requests.map(request => useTool(plan, request)) };
    case 'too-long':
      return askShorter(plan, conversation);
    case 'ask-model': {
      if (conversation.turn > plan.maxTurns)
        return failed(
          node,
          `The agent did not answer within ${plan.maxTurns} turns.`,
          'agent_turns_exhausted',
        );
      const { turn } = conversation;
      const messages = fitConversation(conversation.messages, windowOf(plan));
      return { type: 'calls', calls: [askModel(plan, { id: modelCallId(turn), messages })] };
    }
  }
}

const windowOf = ({ maxContextTokens, opening }: ConversationPlan) => ({
  maxTokens: maxContextTokens,
  openingLength: opening.length,
});

/** Of what the model did not take, so much is asked again, and of that again. */
const shorterShare = 0.6;

function askShorter(
  plan: ConversationPlan,
  { turn, shortenings, messages, error }: Extract<Conversation, { type: 'too-long' }>,
): Move {
  const asked = fitConversation(messages, windowOf(plan));
  const targetTokens = Math.floor(estimateAll(asked) * shorterShare ** shortenings);
  const shorter = fitConversation(asked, { ...windowOf(plan), maxTokens: targetTokens, targetTokens });
  if (estimateAll(shorter) >= estimateAll(asked)) return { type: 'fail', error };
  return {
    type: 'calls',
    calls: [askModel(plan, { id: modelCallId(turn, shortenings), messages: shorter })],
  };
}

function outputOf({
  answer,
  turn,
  toolCalls,
  structured,
}: Extract<Conversation, { type: 'answered' }>): unknown {
  if (structured !== undefined) return structured.value;
  const { message, finishReason, model } = answer;
  return { content: message.content ?? '', finishReason, model, turns: turn, toolCalls };
}

function useTool(
  { node, actor, namespace }: ConversationPlan,
  { call, tool, arguments: input }: Extract<Conversation, { type: 'use-tools' }>['requests'][number],
): PlannedCall {
  return {
    id: call,
    effect: 'mcp',
    label: `tools/call ${tool.name}`,
    request: {
      method: 'tools/call',
      params: { name: tool.name, arguments: input },
      actor,
      ...(namespace !== undefined && { namespace }),
    },
    inDoubt: node.onInDoubt ?? (isRepeatable(tool) ? 'retry' : 'park'),
  };
}

function askModel(
  plan: ConversationPlan,
  { id, messages }: { readonly id: string; readonly messages: readonly ChatMessage[] },
): PlannedCall {
  const { actor, model, tools, outputSchema, sampling } = plan;
  const request: ModelCall = {
    actor,
    model,
    messages,
    tools: tools.map(tool => ({
      type: 'function',
      function: {
        name: functionName(tool.name),
        description: tool.description ?? '',
        parameters: tool.inputSchema ?? { type: 'object', properties: {} },
      },
    })),
    ...(outputSchema !== undefined && { outputSchema }),
    sampling,
  };
  return {
    id,
    effect: 'llm',
    label: `chat ${model}`,
    request,
    inDoubt: 'retry',
  };
}

function failed(
  node: TaskNode,
  detail: string,
  reason: 'agent_turns_exhausted' | 'agent_output_invalid',
): Move {
  return { type: 'fail', error: runError('runtime', { status: 500, detail, instance: node.path, reason }) };
}
