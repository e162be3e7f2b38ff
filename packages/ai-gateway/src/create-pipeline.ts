import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { compose } from '@strata/shared/pipeline.ts';
import { Breaker, type BreakerOptions } from '@strata/shared/resilience/breaker.ts';
import type { ConcurrencyOptions } from '@strata/shared/resilience/concurrency.ts';
import { HedgeBudget } from '@strata/shared/resilience/hedge-budget.ts';
import { RetryBudget } from '@strata/shared/resilience/retry-budget.ts';
import { defaultRetryQuota, RetryQuota } from '@strata/shared/resilience/retry-quota.ts';
import type { AiGatewaySection } from './config.ts';
import type {
  Answer,
  Attempt,
  AttemptStage,
  Brought,
  Call,
  CallStage,
  Gate,
  SessionAnswer,
} from './domain/call.ts';
import type { UsageSink } from './domain/usage-record.ts';
import type { InForce } from './in-force.ts';
import { createAskedTier } from './pipeline/asked-tier.ts';
import { createAttempts } from './pipeline/attempts.ts';
import { createCallUpstream } from './pipeline/call-upstream.ts';
import { passGates } from './pipeline/pass-gates.ts';
import { createOpenRealtime } from './pipeline/realtime-session.ts';
import { createAuthorize } from './policies/authorize.ts';
import { createBreakerGate } from './policies/breaker.ts';
import { createBudgetStage } from './policies/budget.ts';
import { createConcurrency } from './policies/concurrency.ts';
import { createFailureMeter, createMeter } from './policies/meter.ts';
import { createRateLimit } from './policies/rate-limit.ts';
import { createRefuseUnpriced } from './policies/refuse-unpriced.ts';
import { createRequireLedger } from './policies/require-ledger.ts';
import { createRests } from './policies/rest.ts';
import { createTraceAttempt } from './policies/trace-attempt.ts';
import { createTraceCall } from './policies/trace-call.ts';
import { protocols } from './protocols/registry.ts';
import { createUsageEntries } from './store/usage-entries.ts';
import { createUsageMetrics } from './store/usage-metrics.ts';

/**
 * Twenty retries after failures, then one for five requests. The fivefold that SDKs have would let too many through while half
 * of all fails (F36).
 */
const retryQuotaCapacity = 100;

export interface Pipeline {
  readonly answer: (call: Call) => Promise<Answer>;
  /** A conversation over WebSocket, whose target is found as that of an answer is. */
  readonly openSession: (call: Call) => Promise<Brought>;
}

/** The request stages, the attempts and the stages of each attempt, in their order. */
export function createPipeline(
  config: ConfigSource<AiGatewaySection>,
  deps: GatewayDeps,
  options: { readonly usage?: UsageSink; readonly inForce: () => InForce },
): Pipeline {
  const { clock, telemetry } = deps;
  const { inForce } = options;
  const usage = options.usage ?? bothSinks(createUsageMetrics(telemetry), createUsageEntries(deps.ledger));

  const requestStages: CallStage[] = [
    ...(telemetry.isTracing ? [createTraceCall(telemetry)] : []),
    createRateLimit(deps.limiter),
    createRequireLedger(deps.ledger),
    (call, next) => {
      call.onAdmitted?.();
      return next();
    },
  ];
  const tracing: AttemptStage[] = telemetry.isTracing
    ? [createTraceAttempt({ tracer: telemetry.tracer, clock })]
    : [];
  const askedTier = createAskedTier({ protocols, clock });
  const rests = createRests({ clock });
  const gates: Gate[] = [
    createAuthorize(deps.policy),
    createRefuseUnpriced(() => inForce().unpriced, askedTier),
    rests.gate,
    createConcurrency({ clock, options: concurrencyOptions(config.current) }),
    createBreakerGate({ breaker: new Breaker(breakerOptions(config.current), clock) }),
  ];
  const trying = {
    clock,
    policy: () => inForce().policy,
    budget: new RetryBudget(),
    quota: new RetryQuota({ ...defaultRetryQuota, capacity: retryQuotaCapacity }),
    restMs: rests.leftMs,
    hedges: new HedgeBudget(),
    random: Math.random,
  };
  const answer = compose<Call, Answer>(
    requestStages,
    createAttempts<Answer>({
      ...trying,
      perform: compose<Attempt, Answer>(
        [...tracing, createBudgetStage(deps.budgets, askedTier)],
        passGates(
          [createMeter({ clock, sink: usage }), ...gates],
          createCallUpstream({ dialer: deps.dialer, clock, protocols, limits: () => inForce().limits }),
        ),
      ),
    }),
  );
  const openSession = compose<Call, Brought>(
    requestStages,
    createAttempts<SessionAnswer>({
      ...trying,
      perform: compose<Attempt, SessionAnswer>(
        tracing,
        passGates(
          [createFailureMeter({ clock, sink: usage }), ...gates],
          createOpenRealtime({
            ...{ clock, sink: usage, budgets: deps.budgets },
            pricesOf: ({ target }, model) => inForce().known(target.provider, model),
            dial: () => ({ dialer: deps.dialer, clock, ...inForce().limits, ...inForce().realtime }),
          }),
        ),
      ),
    }),
  );
  return { answer, openSession };
}

function bothSinks(first: UsageSink, second: UsageSink): UsageSink {
  return {
    record(record) {
      first.record(record);
      second.record(record);
    },
  };
}

function breakerOptions({ breaker }: AiGatewaySection): BreakerOptions {
  return { failures: breaker.failures, openMs: breaker.open_ms, maxOpenMs: breaker.max_open_ms };
}

function concurrencyOptions({ concurrency }: AiGatewaySection): ConcurrencyOptions {
  return {
    initialLimit: concurrency.initial,
    minLimit: concurrency.min,
    maxLimit: concurrency.max,
    maxQueue: concurrency.max_waiting,
    maxWaitMs: concurrency.max_wait_ms,
  };
}
