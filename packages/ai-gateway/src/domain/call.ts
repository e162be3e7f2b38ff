import type { IncomingHttpHeaders } from 'node:http';
import type { SpanContext } from '@opentelemetry/api';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { FailureClass, UpstreamRefusal } from './failure.ts';
import type { Loss } from './losses.ts';
import type { AnswerFacts, ModelRequest, Protocol } from './protocol.ts';
import type { Credential } from './provider.ts';
import type { Route, Target } from './route.ts';
import type { Spending } from './spending.ts';
import type { AttemptOutcome } from './usage-record.ts';

/** How one attempt ended, for the client's error and for the trace. */
export interface AttemptReport {
  readonly provider: string;
  readonly model: string;
  readonly status: number | undefined;
  readonly failure: FailureClass;
  readonly reason: string;
}

/** One request of a client while it is being answered. */
export interface Call {
  readonly requestId: string;
  readonly caller: Caller;
  readonly protocol: Protocol;
  readonly request: ModelRequest;
  readonly headers: IncomingHttpHeaders;
  readonly route: Route;
  /** The targets of the route that can be reached from the protocol, in order. Never empty. */
  readonly targets: readonly Target[];
  /** Fires when the client leaves, when its time is over (a `timeout`), and at the drain deadline. */
  readonly signal: StopSignal;
  /** The trace the attempts belong to. The stage that opens a span for the request sets it. */
  trace: SpanContext;
  readonly wantsCostComment: boolean;
  /** Headers of the answer, whatever it is. Stages add to them. */
  readonly replyHeaders: Record<string, string>;
  /** Monotonic milliseconds at which it came. */
  readonly startedAtMs: number;
  /** Of which upstreams took this much: from asking them to the whole answer, or to the first meaningful event. */
  upstreamMs: number;
  /** Failed attempts so far, oldest first. */
  readonly failures: AttemptReport[];
  /** Called when nothing that concerns the caller alone stands in its way any more. */
  readonly onAdmitted?: (() => void) | undefined;
}

/** Whether nobody waits for the answer any more. A call whose time is over is not one of them: its client is told. */
export function isLeft({ signal }: Call): boolean {
  return signal.aborted && GatewayError.from(signal.reason).kind !== 'timeout';
}

export interface Attempt {
  readonly call: Call;
  readonly target: Target;
  /** One of the target's provider's. */
  readonly credential: Credential;
  readonly id: string;
  /** 1 for the first of a call. */
  readonly number: number;
  /** The trace that the upstream is told. Stages that open a span set it. */
  trace: SpanContext;
  /** What the target could not be told as the client meant it. Set when the request is written. */
  losses: readonly Loss[];
  /** Whether the upstream has begun a good answer: it may charge for it, whatever becomes of it. */
  hasBegun?: boolean;
  /** Money set aside for it, where a budget bears it. The budget stage sets it. */
  spending?: Spending;
}

/** Where the bytes of a stream go. */
export interface StreamSink {
  /** False when the reader is behind: then wait for `onDrain`. */
  write(bytes: Buffer | string): boolean;
  /** Calls back once, when the reader has caught up. */
  onDrain(listener: () => void): void;
  end(): void;
  /** Drops the client without a proper end. */
  destroy(): void;
}

export interface StreamEnd {
  readonly outcome: Exclude<AttemptOutcome, 'failed'>;
  readonly error: GatewayError | undefined;
  readonly failure: FailureClass | undefined;
  readonly facts: AnswerFacts;
}

/** What goes on after it was begun. */
export interface Lasting {
  /** Called once, when it is over. */
  onEnd(listener: (end: StreamEnd) => void): void;
}

/** An upstream's stream that has said something meaningful and waits for its reader. */
export interface AnswerStream extends Lasting {
  /** From the start of the attempt's answer to the first meaningful event; undefined when the wait was cut short. */
  readonly hasContent: boolean;
  /** Sends what was held and then everything that follows. Call once. */
  flow(sink: StreamSink): void;
}

/** What an attempt brought. */
export type Answer =
  | {
      readonly type: 'whole';
      readonly attempt: Attempt;
      readonly body: Buffer;
      readonly contentType: string;
      /** More of the upstream's, that clients of the protocol read. */
      readonly headers?: Readonly<Record<string, string>>;
      readonly facts: AnswerFacts;
      readonly costNanoUsd: bigint | undefined;
    }
  | { readonly type: 'stream'; readonly attempt: Attempt; readonly stream: AnswerStream }
  /** The upstream's own refusal, which the client gets as it is. */
  | { readonly type: 'refusal'; readonly attempt: Attempt; readonly refusal: UpstreamRefusal };

/** What an attempt brought that is no answer: a session that both sides go on talking in. */
export interface SessionAnswer<Session extends Lasting = Lasting> {
  readonly type: 'session';
  readonly attempt: Attempt;
  readonly session: Session;
}

export type Brought = Answer | SessionAnswer;

/** What an attempt has to get past before it reaches its target: lets it in, at once where that is possible. @throws AttemptFailure */
export type Gate = (attempt: Attempt) => Entered | undefined | Promise<Entered>;

/** Told once what became of an attempt that was let in. */
export interface Entered {
  answered(answer: Brought): void;
  failed(error: unknown): void;
}

/** Stages that do the same for whatever an attempt brings, or a call. */
export type AttemptStage = <Result extends Brought>(
  attempt: Attempt,
  next: () => Promise<Result>,
) => Promise<Result>;
export type CallStage = <Result extends Brought>(call: Call, next: () => Promise<Result>) => Promise<Result>;

/** What of it goes on, if anything. */
export function lastingOf(brought: Brought): Lasting | undefined {
  if (brought.type === 'stream') return brought.stream;
  return brought.type === 'session' ? brought.session : undefined;
}

/** Operations that leave nothing behind at a provider. */
const leavesNothing: ReadonlySet<string> = new Set(['chat', 'embeddings', 'rerank', 'moderation']);

/** Whether two targets may be asked at once: nothing of the answer was sent, and asking twice does no more than cost twice. */
export function maySafelyRepeat({ request, protocol }: Call): boolean {
  return !request.isStream && leavesNothing.has(protocol.operation);
}

/** Ends what goes on of it, when nobody reads it. */
export function discard(brought: Brought): void {
  if (brought.type !== 'stream') return;
  brought.stream.flow({ write: () => true, onDrain: () => {}, end: () => {}, destroy: () => {} });
}
