import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { newId } from '@strata/shared/ids.ts';
import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import { createRunBudgets } from '@strata/shared/money/run-budgets.ts';
import { agentPricesOf } from './agents/agent-prices.ts';
import type { AgentGatewayConfig } from './config.ts';
import { createEffects } from './create-effects.ts';
import type { NewRun } from './domain/append.ts';
import type { Approvals } from './domain/approval.ts';
import type { Journal } from './domain/journal.ts';
import type { RunStatus } from './domain/run-state.ts';
import { Worker } from './engine/worker.ts';
import type { Language } from './open-language.ts';
import { loadWorkflow } from './pipeline/load-workflow.ts';
import { limitsOf } from './run-limits.ts';
import { taskTypes } from './tasks/registry.ts';

/** What drives runs: the worker, its ways to the outside and the money of the runs it holds. It claims nothing before `start`. */
export function openWorker(
  config: ConfigSource<AgentGatewayConfig>,
  deps: GatewayDeps,
  parts: Pick<Language, 'expressions' | 'schemas' | 'definitions'> & {
    readonly journal: Journal;
    readonly approvals: Approvals;
  },
) {
  const { clock, telemetry } = deps;
  const { journal, expressions, schemas, definitions, approvals } = parts;
  const { engine } = config.current;
  const effects = createEffects(config, { ...deps, schemas, approvals });
  const runBudgets = createRunBudgets({
    budgets: deps.budgets,
    clock,
    log: telemetry.log,
    limitNanoUsd: () => {
      const { cost_usd: text } = config.current.limits;
      return text === undefined ? undefined : parseUsd(text);
    },
    hasEnded: async ({ tenant, runId }) => {
      const run = await journal.getRun(tenant, runId);
      return run !== undefined && endedStatuses.has(run.status);
    },
  });
  const worker = new Worker(
    {
      owner: newId('worker', clock.now()),
      maxActiveRuns: engine.active_runs,
      leaseMs: engine.lease_ms,
      heartbeatMs: engine.heartbeat_ms,
      stopMs: engine.stop_ms,
      pollMs: 2000,
    },
    {
      journal,
      types: taskTypes,
      expressions,
      schemas,
      effects,
      telemetry,
      clock,
      policy: deps.policy,
      live: deps.live,
      isUsable: deps.isUsable,
      cancelRun: deps.cancelRun,
      agentPrices: () => agentPricesOf(config.current.agent_prices_usd, deps.priceOverrides),
      coverEnvelope: (envelope, run) => runBudgets.cover(envelope, run),
      issueEnvelope: async (envelope, audience, run) =>
        deps.envelopes.issue(await runBudgets.cover(envelope, run), audience),
      random: Math.random,
      retry: () => ({
        maxAttempts: config.current.engine.call_attempts,
        firstDelayMs: config.current.engine.first_retry_ms,
        maxDelayMs: config.current.engine.max_retry_ms,
      }),
      limits: () => limitsOf(config.current),
      loadWorkflow: hash => loadWorkflow(hash, { journal, definitions }),
    },
  );
  telemetry.meter
    .createObservableGauge('strata.agent.active_runs', { description: 'Runs that this process works on.' })
    .addCallback(result => result.observe(worker.activeRuns));
  return {
    createRun: (run: NewRun) => worker.create(run),
    onCreated: () => worker.scan(),
    onAsked: (runId: string) => worker.ask(runId),
    start() {
      journal.onDue(runId => (runId === undefined ? worker.scan() : worker.ask(runId)));
      worker.start();
    },
    async close() {
      runBudgets.close();
      await worker.stop();
      await Promise.all([...effects.values()].map(effect => effect.close?.()));
    },
  };
}

/** A run that was terminated or has failed spends nothing more, and neither does one that is done. */
const endedStatuses: ReadonlySet<RunStatus> = new Set([
  'completed',
  'failed',
  'cancelled',
  'terminated',
  'moved',
]);
