import type { TurnEnd } from './conversation.ts';
import type { JsonObject } from './json-object.ts';
import type { Owner } from './owner.ts';
import type { StoredResponse } from './stored-response.ts';

/** One answer that is being made while nobody may be waiting for it. Its response is a stored one from the beginning. */
export interface BackgroundRun {
  readonly owner: Owner;
  /** Of the response. */
  readonly id: string;
}

/** Server-sent events, numbered without gaps. */
export interface NumberedFrames {
  readonly first: number;
  /** Each whole, with the blank line that ends it. */
  readonly frames: readonly string[];
}

export interface RunProgress {
  readonly leaseUntilMs: number;
  /** As far as it has come, when that is more than was kept. */
  readonly response?: JsonObject | undefined;
  /** Absent when nobody asked for the events. */
  readonly events?: NumberedFrames | undefined;
}

export interface RunEnd {
  readonly response: JsonObject;
  readonly events?: NumberedFrames | undefined;
  readonly turn?: TurnEnd | undefined;
}

/** How a run ends that its holder did not end. The event is made for the number that it gets, when events are kept. */
export interface ForeignEnd {
  end(response: JsonObject): JsonObject;
  event(response: JsonObject, sequence: number): string;
}

/**
 * Answers in the background, in the shared store, so that every replica can tell how far they are, end them, and end those whose process
 * died. A run is there exactly as long as its answer is being made; whoever removes it writes the end, so there is one.
 */
export interface BackgroundStore {
  /** False when the owner has `maxRuns` under way already. */
  begin(
    owner: Owner,
    stored: StoredResponse,
    run: { holder: string; leaseUntilMs: number; maxRuns: number; events?: NumberedFrames | undefined },
  ): Promise<boolean>;
  /** False when the run is not this holder's any more: somebody ended it. Nothing is written then. */
  advance(run: BackgroundRun, holder: string, progress: RunProgress): Promise<boolean>;
  /** False as above. */
  finish(run: BackgroundRun, holder: string, end: RunEnd): Promise<boolean>;
  /** Ends it whoever holds it, or only when its holder is dead. The response as it is afterwards; undefined when there is none. */
  endForeign(
    run: BackgroundRun,
    end: ForeignEnd,
    options: { readonly onlyIfDead: boolean },
  ): Promise<JsonObject | undefined>;
  isRunning(run: BackgroundRun): Promise<boolean>;
  /** Runs whose holder is dead. */
  abandoned(limit: number): Promise<readonly BackgroundRun[]>;
  /** The oldest events after that number, some at a time. */
  events(run: BackgroundRun, after: number): Promise<NumberedFrames | undefined>;
  /** Removes events that have expired. */
  sweep(): Promise<void>;
}
