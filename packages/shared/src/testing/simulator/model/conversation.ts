/** A request in the simulator's own words. Every wire protocol decodes to this; `compose-answer.ts` knows nothing else. */
export interface Conversation {
  readonly model: string;
  /** System and developer instructions, joined by blank lines. */
  readonly system: string;
  readonly turns: readonly Turn[];
  readonly tools: readonly OfferedTool[];
  readonly toolChoice: ToolChoice;
  /** Whether several tool calls may come in one answer. */
  readonly isParallel: boolean;
  /** `undefined`: as long as the answer is. Counts thinking too. */
  readonly maxOutputTokens: number | undefined;
  readonly stopSequences: readonly string[];
  readonly format: AnswerFormat;
  /** Whether the model reasons before it answers, even if the prompt does not say so. */
  readonly thinks: boolean;
  /** Whether reasoning that the prompt asks for with `[[think: …]]` is possible at all. */
  readonly canThink: boolean;
  /** What may be kept in the prompt cache, if the request asks for it. */
  readonly cache: CacheMark | undefined;
}

export type Turn =
  | { readonly role: 'user'; readonly text: string; readonly media: number }
  | { readonly role: 'assistant'; readonly text: string; readonly calls: readonly ToolCall[] }
  | { readonly role: 'tool'; readonly results: readonly ToolResult[] };

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON, compact. For a tool that takes free text, that text. */
  readonly arguments: string;
}

export interface ToolResult {
  readonly callId: string;
  readonly text: string;
  readonly isError: boolean;
}

export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  /** JSON schema of the arguments; absent for a tool that takes free text. */
  readonly schema: JsonSchema | undefined;
}

export type ToolChoice =
  | { readonly type: 'auto' | 'none' | 'required' }
  | { readonly type: 'named'; readonly names: readonly string[] };

export type AnswerFormat =
  | { readonly type: 'text' | 'json' }
  | { readonly type: 'schema'; readonly schema: JsonSchema };

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface CacheMark {
  /** Everything up to the mark, in pieces: a prompt that begins with the same pieces shares them. */
  readonly segments: readonly string[];
  readonly ttl: '5m' | '1h';
}

/** The words of the last user turn. */
export function lastUserText(conversation: Conversation): string {
  return conversation.turns.findLast(turn => turn.role === 'user')?.text ?? '';
}

/** Tool results since the last words of the user, one array for each time the assistant called. */
export function resultRounds(conversation: Conversation): readonly (readonly ToolResult[])[] {
  const rounds: ToolResult[][] = [];
  let isOpen = false;
  const start = conversation.turns.findLastIndex(turn => turn.role === 'user') + 1;
  for (const turn of conversation.turns.slice(start)) {
    if (turn.role !== 'tool') {
      isOpen = false;
      continue;
    }
    const round = isOpen ? rounds.at(-1) : undefined;
    if (round) round.push(...turn.results);
    else rounds.push([...turn.results]);
    isOpen = true;
  }
  return rounds;
}
