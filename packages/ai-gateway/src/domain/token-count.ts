import type { JsonObject } from './json-object.ts';

/** How a protocol counts the tokens of a prompt without answering it. */
export interface TokenCounting {
  /** The members of a request that counting takes. */
  readonly members: ReadonlySet<string>;
  /** The question around those members; they are it by default. `model` is the provider's name of it. */
  wrap?(kept: JsonObject, model: string): JsonObject;
  /** What an upstream says; undefined when it says none. */
  read(body: JsonObject): number | undefined;
  render(inputTokens: number): JsonObject;
}

export interface TokenCount {
  readonly inputTokens: number;
  /** Counted here, because the provider cannot count or did not answer. */
  readonly isEstimated: boolean;
}
