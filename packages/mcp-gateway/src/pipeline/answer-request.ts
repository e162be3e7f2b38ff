import type { SpanContext } from '@opentelemetry/api';
import { retryHeaders } from '@strata/shared/errors/error-renderer.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { formatTraceparent } from '@strata/shared/http/trace-context.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { LiveCalls } from '@strata/shared/identity/live-calls.ts';
import { type Call, type Carrier, isCancelledByClient } from '../domain/exchange.ts';
import type { RequestFrame } from '../domain/frame.ts';
import { renderError } from '../wire/render.ts';
import { traceOfMessage } from '../wire/trace-meta.ts';
import type { Dispatch } from './dispatch.ts';
import type { LiveSession } from './live-session.ts';
import { SessionCall } from './session-call.ts';

export interface AnswerDeps {
  readonly dispatch: Dispatch;
  /** What goes on for whom: a stopped key or run ends its calls. */
  readonly live: LiveCalls;
  /** Something nobody foresaw; its client gets the request id only. */
  readonly onUnforeseen: (error: unknown, requestId: string) => void;
}

/** One request of a session's client. */
export interface SessionRequest {
  readonly session: LiveSession;
  readonly caller: Caller;
  readonly frame: RequestFrame;
  /** Brings what belongs to the call to the client while it runs. */
  readonly exchange: Carrier;
  readonly requestId: string;
  readonly trace: SpanContext;
  /** Takes the answer; undefined when the client cancelled the request. */
  settle(answer: Buffer | undefined): void;
}

/**
 * Runs one request of a session to its one answer, which may be an error. Never rejects, and
 * outlives the HTTP request: a client that is cut off can fetch the answer later.
 */
export async function answerRequest(request: SessionRequest, deps: AnswerDeps): Promise<void> {
  const { session, caller, frame, exchange, requestId } = request;
  const call = new SessionCall(frame, exchange, caller);
  const live = deps.live.add(call);
  const place = session.calls.add(call);
  let answer: Buffer | undefined;
  try {
    const trace = traceOfMessage(frame) ?? request.trace;
    const traceparent = formatTraceparent(trace);
    answer = await deps.dispatch({
      client: session,
      caller,
      call,
      frame,
      requestId,
      trace,
      traceparent,
      headers: undefined,
    });
  } catch (error) {
    if (!isCancelledByClient(call)) answer = renderFailure(request, call, error, deps);
  }
  place.leave();
  live.leave();
  request.settle(isCancelledByClient(call) ? undefined : answer);
  call.answered();
}

function renderFailure(
  { exchange, requestId }: SessionRequest,
  call: Call,
  error: unknown,
  deps: AnswerDeps,
): Buffer {
  if (!(error instanceof GatewayError)) deps.onUnforeseen(error, requestId);
  const known = GatewayError.from(error);
  exchange.addHeaders?.(retryHeaders(known));
  return renderError(call.rawId, known, requestId);
}
