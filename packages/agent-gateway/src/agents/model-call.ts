import type { ChatMessage } from './chat-message.ts';

/** One question to a model, by way of ai-gateway. */
export interface ModelCall {
  /** The agent that asks. */
  readonly actor: string;
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly {
    readonly type: 'function';
    readonly function: {
      readonly name: string;
      readonly description: string;
      readonly parameters: Readonly<Record<string, unknown>>;
    };
  }[];
  /** JSON Schema of the answer. */
  readonly outputSchema?: unknown;
  readonly sampling: { readonly temperature?: number; readonly max_tokens?: number };
}
