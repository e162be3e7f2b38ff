import type { JsonObject } from './json-object.ts';

/** Whose a stored answer is. Nobody else gets it, whatever they know of its id (S-1). */
export interface Owner {
  readonly tenant: string;
  readonly principal: string;
}

/** An answer that can be read again and gone on from. */
export interface StoredResponse {
  readonly id: string;
  readonly response: JsonObject;
  /** All the items that led to it, those of earlier answers included. */
  readonly input: readonly JsonObject[];
}

/** Where answers are kept until they expire. */
export interface ResponseStore {
  /** Replaces an earlier one of the same id. */
  save(owner: Owner, stored: StoredResponse): Promise<void>;
  find(owner: Owner, id: string): Promise<StoredResponse | undefined>;
  /** Whether there was one. */
  remove(owner: Owner, id: string): Promise<boolean>;
  /** Stops removing what expired. */
  close(): void;
}
