import { type Span, SpanKind, type Tracer } from '@opentelemetry/api';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parentOf } from '@strata/shared/http/trace-context.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import { type Brought, type Call, type CallStage, lastingOf } from '../domain/call.ts';
import { describe, fail } from './trace-attempt.ts';

/** One server span a request: who asked, for which model, what came of it and what it cost. Attempts are its children. */
export function createTraceCall(deps: { tracer: Tracer }): CallStage {
  return async <Result extends Brought>(call: Call, next: () => Promise<Result>) => {
    const span = openSpan(deps.tracer, call);
    call.trace = span.spanContext();
    try {
      const answer = await next();
      finish(span, answer);
      return answer;
    } catch (error) {
      fail(span, GatewayError.from(error).reason);
      span.end();
      throw error;
    }
  };
}

function finish(span: Span, answer: Brought): void {
  const { attempt } = answer;
  span.setAttribute(attributes.attempt, attempt.number);
  const lasting = lastingOf(answer);
  if (lasting !== undefined) {
    lasting.onEnd(({ facts, failure, outcome }) => {
      describe(span, attempt, facts);
      if (outcome !== 'answered') fail(span, failure ?? outcome);
      span.end();
    });
    return;
  }
  if (answer.type === 'whole') describe(span, attempt, answer.facts);
  if (answer.type === 'refusal') fail(span, String(answer.refusal.status));
  span.end();
}

function openSpan(tracer: Tracer, call: Call): Span {
  const { caller, protocol, route } = call;
  const { envelope } = caller;
  return tracer.startSpan(
    `${protocol.operation} ${route.alias}`,
    {
      kind: SpanKind.SERVER,
      attributes: {
        [attributes.operationName]: protocol.operation,
        [attributes.requestModel]: route.alias,
        [attributes.tenant]: caller.tenant,
        [attributes.principal]: caller.principal,
        'strata.protocol': protocol.name,
        'strata.request.id': call.requestId,
        ...(caller.keyId !== undefined && { [attributes.keyId]: caller.keyId }),
        ...(envelope?.runId !== undefined && { [attributes.runId]: envelope.runId }),
        ...(envelope?.taskId !== undefined && { [attributes.taskPath]: envelope.taskId }),
      },
    },
    parentOf(call.trace),
  );
}
