import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Scopes } from '@strata/shared/identity/scopes.ts';
import type { Usage } from './run-events.ts';
import type { RunIdentity } from './run-terms.ts';

/** What a call is made with. */
export interface CallContext {
  readonly runId: string;
  /** `namespace/name:version` */
  readonly workflow: string;
  readonly identity: RunIdentity;
  readonly taskPath: string;
  /** The same for every attempt of this call, and for no other call. */
  readonly idempotencyKey: string;
  readonly traceparent: string;
  readonly signal: AbortSignal;
  readonly maxResultBytes: number;
  /** Signs the run's envelope for the next gateway, narrowed to this task and to what the call needs. */
  envelope(audience: 'ai-gateway' | 'mcp-gateway', narrowing: CallNarrowing): Promise<string>;
  /** Whoever pays for the call, with the budget of the run. @throws GatewayError budget_exceeded. */
  payer(): Promise<Caller>;
  /** Something for those who watch the run, before the result is there. */
  progress(text: string): void;
  /** Adds a fact to the span of the call. */
  annotate(attributes: Readonly<Record<string, string | number>>): void;
}

export interface CallNarrowing {
  readonly actor?: string;
  readonly scopes?: Scopes;
}

export interface CallResult {
  readonly result: unknown;
  /** Undefined when the price is not known. */
  readonly costNanoUsd?: bigint | undefined;
  readonly usage?: Usage | undefined;
}

/** A way to act on the outside. Fails with a GatewayError; its kind says whether another attempt may help. */
export interface Effect {
  readonly type: string;
  perform(request: unknown, context: CallContext): Promise<CallResult>;
  /** The run is not worked on here any more: what was kept open for it may go. */
  release?(runId: string): Promise<void>;
  close?(): Promise<void>;
}

export type Effects = ReadonlyMap<string, Effect>;
