import { createHash } from 'node:crypto';
import type { CallState } from '../domain/call-state.ts';
import type { RunError } from '../domain/run-error.ts';
import type { AssistantMessage, ChatMessage, ToolCall } from './chat-message.ts';
import { askForRepair, checkCallId, maxRepairs, type OutputVerdict } from './structured-output.ts';
import { type ToolInfo, textOf, toolResultSchema } from './tools.ts';

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
  | { readonly type: 'check-output'; readonly turn: number; readonly text: string }
  | {
      readonly type: 'answered';
      readonly turn: number;
      readonly answer: ModelAnswer;
      readonly toolCalls: number;
      /** What the answer says as data, when a schema was asked for. */
      readonly structured: { readonly value: unknown } | undefined;
    }
  | { readonly type: 'output-invalid'; readonly problems: readonly string[] }
  | {
      readonly type: 'too-long';
      readonly turn: number;
      readonly shortenings: number;
      readonly messages: readonly ChatMessage[];
      /** What the model said of the question before. */
      readonly error: RunError;
    }
  | { readonly type: 'call-failed'; readonly error: RunError };

/** Reason of a model call that was refused because the conversation is longer than the model takes. */
export const contextExceeded = 'model_context_exceeded';

/** Reason of one that was refused for what it asks. */
export const questionRefused = 'model_question_refused';

const maxToolTextLength = 100_000;

/** The model's own limit may be lower than what was planned for. */
const maxShortenings = 3;

/** A question that was too long is asked again, shorter, under an id of its own. */
export const modelCallId = (turn: number, shortenings = 0) =>
  shortenings === 0 ? `llm-${turn}` : `llm-${turn}-short-${shortenings}`;
const toolCallId = (turn: number, index: number) => `tool-${turn}-${index}`;

interface ConversationOptions {
  readonly opening: readonly ChatMessage[];
  readonly tools: readonly ToolInfo[];
  readonly calls: ReadonlyMap<string, CallState>;
  /** Whether the last answer must be data that a schema describes. */
  readonly isStructured: boolean;
}

/** Replays a conversation from its beginning. Pure: it is read again after every answer, on any worker. */
export function readConversation(options: ConversationOptions): Conversation {
  const { calls } = options;
  const messages: ChatMessage[] = [...options.opening];
  let toolCalls = 0;
  let repairs = 0;
  for (let turn = 1; ; turn++) {
    const asked = readTurn(turn, calls);
    if (asked.type === 'failed') return { type: 'call-failed', error: asked.error };
    if (asked.type === 'open') {
      const { shortenings, error } = asked;
      if (error !== undefined) return { type: 'too-long', turn, shortenings, messages, error };
      return { type: 'ask-model', turn, messages };
    }
    const { answer } = asked;
    const wanted = answer.message.tool_calls ?? [];
    messages.push(answer.message);
    if (wanted.length > 0) {
      toolCalls += wanted.length;
      const requests = replyToAll(wanted, { turn, messages, ...options });
      if (requests.length > 0) return { type: 'use-tools', turn, requests };
      continue;
    }
    if (!options.isStructured) return { type: 'answered', turn, answer, toolCalls, structured: undefined };
    const text = answer.message.content ?? '';
    const check = calls.get(checkCallId(turn));
    if (check?.status === 'failed') return { type: 'call-failed', error: check.error };
    if (check?.status !== 'completed') return { type: 'check-output', turn, text };
    const verdict = check.result as OutputVerdict; // written by the effect `schema`
    if ('value' in verdict) return { type: 'answered', turn, answer, toolCalls, structured: verdict };
    if (++repairs > maxRepairs) return { type: 'output-invalid', problems: verdict.problems };
    messages.push(askForRepair(verdict.problems));
  }
}

type Turn =
  | { readonly type: 'answered'; readonly answer: ModelAnswer }
  | { readonly type: 'failed'; readonly error: RunError }
  | { readonly type: 'open'; readonly shortenings: number; readonly error: RunError | undefined };

function readTurn(turn: number, calls: ReadonlyMap<string, CallState>): Turn {
  let error: RunError | undefined;
  for (let shortenings = 0; ; shortenings++) {
    const known = calls.get(modelCallId(turn, shortenings));
    if (known?.status === 'completed') return { type: 'answered', answer: known.result as ModelAnswer }; // from `llm`
    if (known?.status !== 'failed') return { type: 'open', shortenings, error };
    error = known.error;
    if (!mayBeTooLong(turn, error) || shortenings === maxShortenings) return { type: 'failed', error };
  }
}

/**
 * Most providers say in words only that a conversation is too long, and words decide nothing here. What was taken in the turn before and is
 * refused now that it has grown is therefore asked again, shorter; a refusal costs nothing.
 */
const mayBeTooLong = (turn: number, { reason }: RunError) =>
  reason === contextExceeded || (reason === questionRefused && turn > 1);

/** Adds the replies that are known to the messages; gives the requests that have yet to be made. */
function replyToAll(
  wanted: readonly ToolCall[],
  { turn, messages, tools, calls }: ConversationOptions & { turn: number; messages: ChatMessage[] },
): ToolRequest[] {
  const byName = new Map(tools.map(tool => [functionName(tool.name), tool]));
  const open: ToolRequest[] = [];
  wanted.forEach((each, index) => {
    const id = toolCallId(turn, index);
    const reply = replyTo(each, { known: calls.get(id), tool: byName.get(each.function.name), id });
    if (typeof reply === 'string') messages.push({ role: 'tool', tool_call_id: each.id, content: reply });
    else open.push(reply);
  });
  return open;
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
