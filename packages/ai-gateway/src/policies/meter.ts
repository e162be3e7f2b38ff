import type { Clock } from '@strata/shared/clock.ts';
import { costOf } from '@strata/shared/money/price.ts';
import type { UsageReport } from '@strata/shared/money/usage.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import { type Answer, type Attempt, isLeft } from '../domain/call.ts';
import { AttemptFailure, type FailureClass } from '../domain/failure.ts';
import type { AnswerFacts } from '../domain/protocol.ts';
import { type AnswerEnd, givenServiceTier, type Settlement, settle } from '../domain/spending.ts';
import type { AttemptOutcome, UsageRecord, UsageSink } from '../domain/usage-record.ts';

interface Ending {
  readonly outcome: AttemptOutcome;
  readonly failure: FailureClass | undefined;
  readonly end: AnswerEnd;
  readonly facts: AnswerFacts | undefined;
  readonly firstEventMs: number | undefined;
}

/** Writes exactly one usage record an attempt, when its last byte has passed or it has failed (A7). */
export function createMeter(deps: { clock: Clock; sink: UsageSink }): Stage<Attempt, Answer> {
  const { clock, sink } = deps;
  return async (attempt, next) => {
    const startedAtMs = clock.now();
    const started = clock.monotonic();
    const record = (ending: Ending) =>
      sink.record(usageRecord(attempt, ending, { startedAtMs, durationMs: clock.monotonic() - started }));
    let answer: Answer;
    try {
      answer = await next();
    } catch (error) {
      record(failedEnding(attempt, error));
      throw error;
    }
    if (answer.type === 'stream') {
      const firstEventMs = answer.stream.hasContent ? clock.monotonic() - started : undefined;
      answer.stream.onEnd(({ outcome, failure, facts }) =>
        record({
          outcome,
          failure,
          facts,
          firstEventMs,
          end: outcome === 'answered' ? 'complete' : 'broken-off',
        }),
      );
      return answer;
    }
    const facts = answer.type === 'whole' ? answer.facts : undefined;
    record({
      outcome: 'answered',
      failure: undefined,
      facts,
      firstEventMs: undefined,
      end: 'complete',
    });
    return answer;
  };
}

function failedEnding(attempt: Attempt, error: unknown): Ending {
  const isGone = isLeft(attempt.call);
  const failure = AttemptFailure.from(error);
  return {
    outcome: isGone ? 'cancelled' : 'failed',
    failure: isGone ? undefined : failure.class,
    facts: undefined,
    firstEventMs: undefined,
    // What the upstream itself reports as an error has a status, also inside a 200.
    end: isGone || (attempt.hasBegun === true && failure.status === undefined) ? 'broken-off' : 'refused',
  };
}

/** The record of an attempt that has ended. Settles what was set aside for it: call it once. */
export function usageRecord(
  attempt: Attempt,
  ending: Ending,
  time: { startedAtMs: number; durationMs: number },
): UsageRecord {
  const { call, target } = attempt;
  const { caller } = call;
  const report = ending.facts?.report;
  const settled = settlement(attempt, ending);
  return {
    attemptId: attempt.id,
    requestId: call.requestId,
    tenant: caller.tenant,
    team: caller.team,
    project: caller.project,
    tags: caller.tags,
    agent: caller.envelope?.actors[0],
    principal: caller.principal,
    keyId: caller.keyId,
    runId: caller.envelope?.runId,
    taskId: caller.envelope?.taskId,
    alias: call.route.alias,
    provider: target.provider.name,
    model: target.model,
    protocol: call.protocol.name,
    operation: call.protocol.operation,
    serviceTier: givenServiceTier(call.request, ending.facts),
    isStream: call.request.isStream,
    attemptNumber: attempt.number,
    outcome: ending.outcome,
    failure: ending.failure,
    usage: settled.usage,
    usageSource: sourceOf(report, settled),
    costNanoUsd: settled.costNanoUsd,
    charges: settled.charges,
    priceVersion: target.prices?.version,
    firstEventMs: ending.firstEventMs,
    ...time,
  };
}

function settlement(attempt: Attempt, ending: Ending): Settlement {
  const { spending, call, target } = attempt;
  const { prices } = target;
  const usage = ending.facts?.report?.usage;
  const serviceTier = givenServiceTier(call.request, ending.facts);
  if (spending !== undefined)
    return settle(spending, {
      request: call.request,
      end: ending.end,
      usage,
      prices,
      serviceTier,
    });
  return { usage, isEstimated: false, costNanoUsd: usage && costOf(usage, prices, serviceTier), charges: [] };
}

function sourceOf(report: UsageReport | undefined, { isEstimated }: Settlement): UsageRecord['usageSource'] {
  if (isEstimated) return 'estimated';
  if (report === undefined) return 'missing';
  return report.isAnomalous ? 'anomalous' : 'reported';
}
