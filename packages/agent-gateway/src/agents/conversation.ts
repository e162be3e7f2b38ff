import { createHash } from 'node:crypto';
import type { CallState } from '../domain/run-state.ts';
import { type ToolInfo, textOf, toolResultSchema } from './tools.ts';

/** A message of the OpenAI chat protocol, which ai-gateway speaks whatever the model behind it speaks. */
export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | AssistantMessage
  | { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string };

export interface AssistantMessage {
  readonly role: 'assistant';
  readonly content: string | null;
  readonly tool_calls?: readonly ToolCall[];
}

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** What is recorded of one answer of a model. */
export interface ModelAnswer {
  readonly message: AssistantMessage;
  readonly finishReason: string;
  readonly model: string;
}

export interface ToolRequest {
  /** Id of the call in the journal. */
  readonly call: string;
  readonly tool: ToolInfo;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Where a conversation stands, read from the calls that are recorded. */
export type Conversation =
  | { readonly type: 'ask-model'; readonly turn: number; readonly messages: readonly ChatMessage[] }
  | { readonly type: 'use-tools'; readonly turn: number; readonly requests: readonly ToolRequest[] }
  | {
      readonly type: 'answered';
      readonly turn: number;
      readonly answer: ModelAnswer;
      readonly toolCalls: number;
    }
  | { readonly type: 'model-failed'; readonly turn: number };

const maxToolTextLength = 100_000;

export const modelCallId = (turn: number) => `llm-${turn}`;
const toolCallId = (turn: number, index: number) => `tool-${turn}-${index}`;

/** Replays a conversation from its beginning. Pure: it is read again after every answer, on any worker. */
export function readConversation(options: {
  opening: readonly ChatMessage[];
  tools: readonly ToolInfo[];
  calls: ReadonlyMap<string, CallState>;
}): Conversation {
  const { opening, tools, calls } = options;
  const byName = new Map(tools.map(tool => [functionName(tool.name), tool]));
  const messages: ChatMessage[] = [...opening];
  let toolCalls = 0;
  for (let turn = 1; ; turn++) {
    const known = calls.get(modelCallId(turn));
    if (known?.status === 'failed') return { type: 'model-failed', turn };
    if (known?.status !== 'completed') return { type: 'ask-model', turn, messages };
    const answer = known.result as ModelAnswer; // written by the effect `llm`
    const wanted = answer.message.tool_calls ?? [];
    if (wanted.length === 0) return { type: 'answered', turn, answer, toolCalls };
    toolCalls += wanted.length;
    messages.push(answer.message);
    const open: ToolRequest[] = [];
    wanted.forEach((each, index) => {
      const id = toolCallId(turn, index);
      const reply = replyTo(each, { known: calls.get(id), tool: byName.get(each.function.name), id });
      if (typeof reply === 'string') messages.push({ role: 'tool', tool_call_id: each.id, content: reply });
      else open.push(reply);
    });
    if (open.length > 0) return { type: 'use-tools', turn, requests: open };
  }
}

/** The text that answers a tool call, or the request that has yet to be made. A model is told its own mistakes. */
function replyTo(
  wanted: ToolCall,
  { known, tool, id }: { known: CallState | undefined; tool: ToolInfo | undefined; id: string },
): string | ToolRequest {
  if (tool === undefined) return `Error: there is no tool '${wanted.function.name}'.`;
  if (known?.status === 'completed') {
    const result = toolResultSchema.safeParse(known.result);
    const text = result.success ? textOf(result.data) : JSON.stringify(known.result);
    const isError = result.success && result.data.isError === true;
    return cut(isError ? `Error: ${text}` : text);
  }
  if (known?.status === 'failed') return cut(`Error: ${known.error.detail}`);
  const parsed = parseArguments(wanted.function.arguments);
  if (parsed === undefined) return 'Error: the arguments are not a JSON object.';
  return { call: id, tool, arguments: parsed };
}

function parseArguments(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.trim() === '' ? '{}' : text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? { ...value } : undefined;
  } catch {
    return undefined; // the model is told, and tries again
  }
}

const cut = (text: string) =>
  text.length <= maxToolTextLength
    ? text
    : `${text.slice(0, maxToolTextLength)}\n[cut: ${text.length} characters]`;

/** A name that model providers accept; they refuse dots, which tools may have. */
export function functionName(name: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 55)}_${digest}`;
}
