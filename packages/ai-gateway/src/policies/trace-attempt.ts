import { type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { Clock } from '@strata/shared/clock.ts';
import { parentOf } from '@strata/shared/http/trace-context.ts';
import { costOf } from '@strata/shared/money/price.ts';
import { inputTokens, outputTokens } from '@strata/shared/money/usage.ts';
import { attributes } from '@strata/shared/telemetry/semantic-conventions.ts';
import { type Attempt, type AttemptStage, type Brought, isLeft, lastingOf } from '../domain/call.ts';
import { AttemptFailure } from '../domain/failure.ts';
import { givenServiceTier } from '../domain/given-service-tier.ts';
import type { AnswerFacts } from '../domain/protocol.ts';

/** One client span an attempt (GenAI semantic conventions). The upstream is told this span as its parent. */
export function createTraceAttempt({ tracer, clock }: { tracer: Tracer; clock: Clock }): AttemptStage {
  return async <Result extends Brought>(attempt: Attempt, next: () => Promise<Result>) => {
    const span = openSpan(tracer, attempt);
    const startedMs = clock.monotonic();
    attempt.trace = span.spanContext();
    try {
      const answer = await next();
      if (answer.type === 'stream' && answer.stream.hasContent)
        span.setAttribute(attributes.timeToFirstChunk, (clock.monotonic() - startedMs) / 1000);
      const lasting = lastingOf(answer);
      if (lasting !== undefined) {
        lasting.onEnd(({ facts, failure, outcome }) => {
          describe(span, attempt, facts);
          if (outcome !== 'answered') fail(span, failure ?? outcome);
          span.end();
        });
        return answer;
      }
      if (answer.type === 'whole') describe(span, attempt, answer.facts);
      span.end();
      return answer;
    } catch (error) {
      const failure = AttemptFailure.from(error);
      if (failure.status !== undefined) span.setAttribute(attributes.httpStatus, failure.status);
      fail(span, isLeft(attempt.call) ? 'cancelled' : failure.class);
      span.end();
      throw error;
    }
  };
}

function openSpan(tracer: Tracer, attempt: Attempt): Span {
  const { call, target } = attempt;
  return tracer.startSpan(
    `${call.protocol.operation} ${target.model}`,
    {
      kind: SpanKind.CLIENT,
      attributes: {
        [attributes.operationName]: call.protocol.operation,
        [attributes.providerName]: target.provider.system,
        [attributes.requestModel]: target.model,
        ...(call.request.isStream && { [attributes.requestStream]: true }),
        [attributes.serverAddress]: target.provider.origin.url.hostname,
        [attributes.serverPort]: portOf(target.provider.origin.url),
        [attributes.attempt]: attempt.number,
        'strata.provider': target.provider.name,
      },
    },
    parentOf(call.trace),
  );
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

/** What the answer said about itself, on the span of an attempt or of a request. */
export function describe(span: Span, attempt: Attempt, facts: AnswerFacts): void {
  const { model, finishReason, report } = facts;
  if (model !== undefined) span.setAttribute(attributes.responseModel, model);
  if (finishReason !== undefined) span.setAttribute(attributes.finishReasons, [finishReason]);
  if (report === undefined) return;
  const { usage } = report;
  span.setAttributes({
    [attributes.inputTokens]: inputTokens(usage),
    [attributes.outputTokens]: outputTokens(usage),
    [attributes.reasoningTokens]: usage.reasoning,
    [attributes.cacheReadTokens]: usage.cacheRead,
    [attributes.cacheWriteTokens]: usage.cacheWrite + usage.cacheWrite1h,
  });
  const cost = costOf(usage, attempt.target.prices, givenServiceTier(attempt, facts));
  // Nano-USD of one answer are far below 2^53; a span attribute can hold no bigint.
  if (cost !== undefined) span.setAttribute(attributes.costNanoUsd, Number(cost));
  else span.setAttribute('strata.unpriced', true);
}

export function fail(span: Span, errorType: string): void {
  span.setAttribute(attributes.errorType, errorType);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
