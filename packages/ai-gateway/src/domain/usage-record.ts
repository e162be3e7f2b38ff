import type { Charge } from '@strata/shared/money/budget.ts';
import type { Usage } from '@strata/shared/money/usage.ts';
import type { FailureClass } from './failure.ts';

export type AttemptOutcome =
  /** The answer was complete. */
  | 'answered'
  /** It ended before its first meaningful event. */
  | 'failed'
  /** The upstream broke off, or reported an error, after the client had seen a part. */
  | 'cut'
  /** The client left. */
  | 'cancelled';

/** What one attempt used and cost. Every attempt has exactly one, whatever became of it (A7). */
export interface UsageRecord {
  readonly attemptId: string;
  readonly requestId: string;
  readonly tenant: string;
  readonly team: string;
  readonly project: string;
  readonly tags: readonly string[];
  /** The agent that acted for the principal. */
  readonly agent: string | undefined;
  readonly principal: string;
  readonly keyId: string | undefined;
  /** The run and task for which another gateway called. */
  readonly runId: string | undefined;
  readonly taskId: string | undefined;
  /** The name the client asked for. */
  readonly alias: string;
  readonly provider: string;
  /** GenAI semantic conventions `gen_ai.provider.name`. */
  readonly system: string;
  /** The model that was asked of the provider. */
  readonly model: string;
  readonly protocol: string;
  /** GenAI semantic conventions `gen_ai.operation.name`. */
  readonly operation: string;
  /** That was given, else asked for, as the vendor names it. */
  readonly serviceTier: string | undefined;
  readonly isStream: boolean;
  readonly attemptNumber: number;
  readonly outcome: AttemptOutcome;
  readonly failure: FailureClass | undefined;
  /** Undefined when the upstream said nothing about usage before the end. */
  readonly usage: Usage | undefined;
  /**
   * `anomalous`: reported, but some count was impossible and was brought within bounds, or estimated where nothing was left. `estimated`: by the size of what passed, where a
   * budget bears the cost and the upstream did not say or was cut off.
   */
  readonly usageSource: 'reported' | 'anomalous' | 'estimated' | 'missing';
  /** Undefined when the usage is not known or a used bucket has no price. Never 0 for an unknown price ($-2). */
  readonly costNanoUsd: bigint | undefined;
  /** Which budgets bear it. */
  readonly charges: readonly Charge[];
  /** The prices that the cost was counted with; undefined when the model has none. */
  readonly priceVersion: string | undefined;
  /** Wall clock. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** From the start of the attempt to its first meaningful event; streams only. */
  readonly firstEventMs: number | undefined;
}

/** Where usage records go. `record` must not block: it is called on the hot path. */
export interface UsageSink {
  record(record: UsageRecord): void;
}
