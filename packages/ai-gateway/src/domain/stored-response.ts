import type { TurnEnd } from './conversation.ts';
import type { JsonObject } from './json-object.ts';
import type { Owner } from './owner.ts';

/** An answer that can be read again and gone on from. */
export interface StoredResponse {
  readonly id: string;
  readonly response: JsonObject;
  /** All the items that led to it, those of earlier answers included. */
  readonly input: readonly JsonObject[];
}

/** Where answers are kept until they expire. */
export interface ResponseStore {
  /** Replaces an earlier one of the same id. What it adds to a conversation is added in the same transaction. */
  save(owner: Owner, stored: StoredResponse, turn?: TurnEnd): Promise<void>;
  find(owner: Owner, id: string): Promise<StoredResponse | undefined>;
  /** Whether there was one. A run that makes it ends with it. */
  remove(owner: Owner, id: string): Promise<boolean>;
  /** Removes what has expired. */
  sweep(): Promise<void>;
}

/** Whether the answer is still being made, in the background. */
export function isUnderWay({ status }: JsonObject): boolean {
  return status === 'queued' || status === 'in_progress';
}
