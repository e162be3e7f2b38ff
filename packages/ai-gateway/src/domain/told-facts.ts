import { usageBuckets } from '@strata/shared/money/usage.ts';
import type { Call } from './call.ts';
import type { AnswerFacts } from './protocol.ts';

/**
 * What an answer tells about itself, where it is made: nobody behind sees anything else. A model that wrote an answer has read something, so
 * a usage of zeros alone says no more than silence (A8).
 */
export function toldFacts(
  { request, protocol }: Pick<Call, 'request' | 'protocol'>,
  facts: AnswerFacts,
): AnswerFacts {
  const { report } = facts;
  if (report === undefined || request.writesNoTokens === true || protocol.codec === undefined) return facts;
  const isMetered = usageBuckets.some(bucket => (report.usage[bucket] ?? 0) > 0);
  return isMetered ? facts : { ...facts, report: undefined, isUsageAnomalous: report.isAnomalous };
}
