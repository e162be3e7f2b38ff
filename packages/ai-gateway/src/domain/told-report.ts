import { type UsageReport, usageBuckets } from '@strata/shared/money/usage.ts';
import type { Call } from './call.ts';
import type { AnswerFacts } from './protocol.ts';

/** What the upstream metered. A model that wrote an answer has read something: zeros alone say no more than silence (A8). */
export function toldReport(
  { request, protocol }: Pick<Call, 'request' | 'protocol'>,
  facts: AnswerFacts | undefined,
): UsageReport | undefined {
  const report = facts?.report;
  if (report === undefined || request.writesNoTokens === true || protocol.codec === undefined) return report;
  return usageBuckets.some(bucket => (report.usage[bucket] ?? 0) > 0) ? report : undefined;
}
