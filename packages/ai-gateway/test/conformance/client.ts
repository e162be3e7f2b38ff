import type { Case, Seen } from './cases.ts';

export interface Server {
  readonly url: string;
  readonly key: string;
}

export interface Asked {
  readonly seen: Seen;
  /** The SDK's own message, without ids and dates: the same streamed and whole. */
  readonly message: unknown;
}

/** One official SDK that has nothing but its base URL and key changed. */
export interface Client {
  readonly name: string;
  /** Which of the gateway's protocols it speaks. */
  readonly protocol: string;
  /** Names of the cases that it has no words for. */
  readonly lacks?: readonly string[];
  /** It has no word of its own for a refusal: what the model said is text. */
  readonly tellsRefusalsAsText?: boolean;
  /** It adds up the usage of a stream in a way of its own, also with the vendor itself. */
  readonly miscountsStreams?: boolean;
  ask(server: Server, model: string, test: Case, isStream: boolean): Promise<Asked>;
}
