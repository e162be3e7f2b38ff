import { costOf } from '@strata/shared/money/price.ts';
import type { Attempt } from './call.ts';
import type { FailureClass } from './failure.ts';
import { givenServiceTier } from './given-service-tier.ts';
import type { AnswerFacts } from './protocol.ts';
import { type AnswerEnd, type Settlement, settle } from './spending.ts';
import type { AttemptOutcome, UsageRecord } from './usage-record.ts';

/** How an attempt ended, as far as its record says it. */
export interface AttemptEnding {
  readonly outcome: AttemptOutcome;
  readonly failure: FailureClass | undefined;
  readonly end: AnswerEnd;
  readonly facts: AnswerFacts | undefined;
  /** Where what the answer cost is known already. */
  readonly costNanoUsd?: bigint | undefined;
  readonly firstEventMs: number | undefined;
}

/** The record of an attempt that has ended. Settles what was set aside for it: call it once. */
export function usageRecord(
  attempt: Attempt,
  ending: AttemptEnding,
  { startedAtMs, durationMs }: { startedAtMs: number; durationMs: number },
): UsageRecord {
  const { call, target } = attempt;
  const { caller } = call;
  const serviceTier = givenServiceTier(attempt, ending.facts);
  const settled = settlement(attempt, ending, serviceTier);
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
    system: target.provider.system,
    model: target.model,
    protocol: call.protocol.name,
    operation: call.protocol.operation,
    serviceTier,
    isStream: call.request.isStream,
    attemptNumber: attempt.number,
    outcome: ending.outcome,
    failure: ending.failure,
    usage: settled.usage,
    usageSource: sourceOf(ending.facts, settled),
    costNanoUsd: settled.costNanoUsd,
    charges: settled.charges,
    priceVersion: target.prices?.version,
    startedAtMs,
    durationMs,
    firstEventMs: ending.firstEventMs,
  };
}

function settlement(attempt: Attempt, ending: AttemptEnding, serviceTier: string | undefined): Settlement {
  const { spending, call, target } = attempt;
  const { prices } = target;
  const usage = ending.facts?.report?.usage;
  if (spending !== undefined)
    return settle(spending, {
      request: call.request,
      end: ending.end,
      usage,
      prices,
      serviceTier,
    });
  const costNanoUsd = ending.costNanoUsd ?? (usage && costOf(usage, prices, serviceTier));
  return { usage, isEstimated: false, costNanoUsd, charges: [] };
}

function sourceOf(facts: AnswerFacts | undefined, { isEstimated }: Settlement): UsageRecord['usageSource'] {
  const report = facts?.report;
  if (facts?.isUsageAnomalous === true || report?.isAnomalous === true) return 'anomalous';
  if (isEstimated) return 'estimated';
  return report === undefined ? 'missing' : 'reported';
}
