import type { SpanContext } from '@opentelemetry/api';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import type { Call } from '../domain/exchange.ts';
import type { RequestFrame, ResponseFrame } from '../domain/frame.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { ClientSide } from './client-side.ts';

/** The trace a request belongs to, as the server reads it from its headers. */
export type TraceContext = SpanContext;

/** A client's request to one server, on its way through the stages. */
export interface CallContext {
  readonly client: ClientSide;
  readonly caller: Caller;
  readonly call: Call;
  readonly frame: RequestFrame;
  readonly upstream: Upstream;
  /** What is called, as the client names it and as the server does; both undefined for a method without a name. */
  readonly exposedName: string | undefined;
  readonly serverName: string | undefined;
  /** What the server says of the tool in `annotations`; its own word, not the operator's. */
  readonly annotations: () => ToolAnnotations;
  /** New text for members of `params`: names and URIs as the server knows them. */
  readonly edits: readonly { readonly path: readonly string[]; readonly text: string }[];
  /** Headers that repeat arguments, for servers that want them. */
  readonly paramHeaders: Readonly<Record<string, string>>;
  readonly requestId: string;
  readonly trace: TraceContext;
  /** Sent to the server in `_meta`; a stage that opens a span sets it. */
  traceparent: string;
}

export interface ToolAnnotations {
  readonly readOnlyHint?: unknown;
  readonly idempotentHint?: unknown;
}

export type CallStage = Stage<CallContext, ResponseFrame>;

export type RunCall = (context: CallContext) => Promise<ResponseFrame>;
