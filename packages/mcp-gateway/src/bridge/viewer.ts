import type { Carrier } from '../domain/exchange.ts';

/** One HTTP request that waits for a call, here or at another replica. A call that asks its client sees several of them. */
export interface Viewer {
  /** The id of its JSON-RPC request, as the client wrote it. */
  readonly rawId: Buffer;
  /** What it knows progress by, as raw JSON. */
  readonly progressToken: string | undefined;
  readonly carrier: Carrier;
  /** The whole answer, under that id, and the HTTP status that goes with it. */
  settle(body: Buffer, status: number): void;
}

/** Answers to questions by the key they were asked under, as raw JSON. */
export type InputResponses = ReadonlyMap<string, string>;

/** A call that waits for its client. */
export interface ParkedRun {
  readonly id: string;
  /** Whose it is. */
  readonly owner: string;
  /** Whether it has its outcome, which is kept for a retry. */
  readonly isSettled: boolean;
  /**
   * Goes on with the answers to the questions of `round`. A round that was answered before gets what came of it (so the same
   * retry twice does nothing twice).
   */
  resume(viewer: Viewer, round: number, responses: InputResponses): void;
  /** The viewer is gone. Whoever waits for nobody is cancelled. */
  leave(viewer: Viewer): void;
}

/** Where a call is parked: what the sealed state in the client's hands says. */
export interface ParkedPlace {
  readonly owner: string;
  readonly id: string;
  readonly round: number;
  /** Which server asks. */
  readonly server: string;
}
