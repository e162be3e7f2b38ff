import { join } from 'node:path';
import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import { newId } from '@strata/shared/ids.ts';
import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import { createRunBudgets, type RunBudgets } from '@strata/shared/money/run-budgets.ts';
import { openOwnTables } from '@strata/shared/stores/own-tables.ts';
import type { SharedSchema } from '@strata/shared/stores/shared-schema.ts';
import { agentPricesOf } from './agents/agent-prices.ts';
import { createCompileTrigger } from './compile-trigger.ts';
import type { AgentGatewayConfig } from './config.ts';
import { createEffects } from './create-effects.ts';
import type { DataSchemas } from './domain/data-schemas.ts';
import type { Journal } from './domain/journal.ts';
import type { RunStatus } from './domain/run-state.ts';
import { createDataSchemas } from './dsl/data-schemas.ts';
import { createDefinitions, type Definitions } from './dsl/definitions.ts';
import { createGrammar } from './dsl/grammar.ts';
import { nextTime } from './dsl/next-time.ts';
import type { DriverDeps } from './engine/run-context.ts';
import { Worker } from './engine/worker.ts';
import { createJqExpressions } from './expressions/jq-expressions.ts';
import type { ApiDeps } from './http/api-deps.ts';
import { addApprovalRoutes } from './http/approval-routes.ts';
import { addCloudEventRoutes } from './http/cloud-event-routes.ts';
import { addDocumentRoutes } from './http/document-routes.ts';
import { addEventRoutes } from './http/event-routes.ts';
import { addExportRoutes } from './http/export-routes.ts';
import { addRequestLimits } from './http/limit-requests.ts';
import { addQueueRoutes } from './http/queue-routes.ts';
import { createRecordChange } from './http/record-change.ts';
import { addRunListRoute } from './http/run-list-routes.ts';
import { addRunRoutes } from './http/run-routes.ts';
import { addScheduleRoutes } from './http/schedule-routes.ts';
import { addTimelineRoutes } from './http/timeline-routes.ts';
import { addWebhookRoutes } from './http/webhook-routes.ts';
import { addWorkflowRoutes } from './http/workflow-routes.ts';
import { openPostgresJournal } from './journal/postgres/postgres-journal.ts';
import { openSqliteJournal } from './journal/sqlite/sqlite-journal.ts';
import { openWebhooks } from './open-webhooks.ts';
import { loadWorkflow } from './pipeline/load-workflow.ts';
import { startRedelivery } from './pipeline/redelivery.ts';
import { startRemoval } from './pipeline/remove-ended.ts';
import { runWithEvent, type ScheduleDeps, startSchedules } from './pipeline/run-schedules.ts';
import { limitsOf } from './run-limits.ts';
import { type ApprovalSchema, approvalMigrations } from './store/approval-schema.ts';
import { createApprovals } from './store/approvals.ts';
import { type ScheduleSchema, scheduleMigrations } from './store/schedule-schema.ts';
import { createSchedules } from './store/schedules.ts';
import { taskTypes } from './tasks/registry.ts';

/**
 * Two halves that meet in the journal: routes write runs and requests into it and read it, the worker claims runs from it and
 * drives them. Either half may be in another process.
 */
export async function createAgentGateway(
  config: ConfigSource<AgentGatewayConfig>,
  deps: GatewayDeps,
): Promise<GatewayApp> {
  const { clock, telemetry } = deps;
  const { current } = config;
  const journal = await openJournal(current, deps);
  const expressions = createJqExpressions({
    clock,
    threads: current.expressions.threads,
    timeoutMs: current.expressions.timeout_ms,
    maxMemoryBytes: current.expressions.memory_bytes,
    maxOutputBytes: current.expressions.output_bytes,
    maxQueue: current.expressions.queue,
  });
  const grammar = createGrammar(clock);
  const schemas = createDataSchemas(clock);
  const compileTrigger = createCompileTrigger(expressions);
  const definitions = createDefinitions({
    maxLength: () => config.current.stored.definition_bytes,
    types: taskTypes,
    expressions,
    grammar,
    schemas,
    checkTrigger: compileTrigger,
  });
  const own = await openOwnTables<ApprovalSchema & ScheduleSchema, SharedSchema>(
    deps.sql,
    [approvalMigrations, scheduleMigrations],
    clock,
  );
  const approvals = createApprovals({ sql: own, audit: deps.audit });
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
      maxActiveRuns: current.engine.active_runs,
      leaseMs: current.engine.lease_ms,
      heartbeatMs: current.engine.heartbeat_ms,
      stopMs: current.engine.stop_ms,
      pollMs: 2000,
    },
    driverDeps({ config, deps, journal, definitions, expressions, schemas, effects, runBudgets }),
  );
  telemetry.meter
    .createObservableGauge('strata.agent.active_runs', { description: 'Runs that this process works on.' })
    .addCallback(result => result.observe(worker.activeRuns));

  const server = createGatewayServer({
    name: deps.name,
    config: current.listen,
    telemetry,
    clock,
    authenticate: deps.authenticate,
    live: deps.live,
    errors: problemErrors,
    onRefused: deps.refusals.recordRequest,
  });
  addAdminApi(server.app, deps);
  server.addReadinessCheck('journal', () => journal.ping());
  const api: ApiDeps = {
    journal,
    clock,
    policy: deps.policy,
    definitions,
    types: taskTypes,
    expressions,
    recordChange: createRecordChange(deps.audit),
    limits: () => limitsOf(config.current),
    onCreated: () => worker.scan(),
    onAsked: runId => worker.ask(runId),
    maxWaitMs: () => config.current.max_wait_ms,
    maxExportBytes: config.current.max_export_bytes,
    maxWorkflows: () => config.current.stored.workflows_per_tenant,
    isDraining: () => server.isDraining,
  };
  const approvalDeps = { approvals, journal, schemas, clock, onAsked: api.onAsked };
  const redelivery = startRedelivery(approvalDeps, telemetry.log);
  const scheduleDeps: ApiDeps & ScheduleDeps = {
    ...api,
    isUsable: deps.isUsable,
    schedules: createSchedules({ sql: own, audit: deps.audit }),
    maxPerTenant: () => config.current.stored.schedules_per_tenant,
    nextTime,
    outbox: journal.outbox,
    compileTrigger,
    loadDefinition: definitions.load,
    log: telemetry.log,
  };
  const scheduler = startSchedules(scheduleDeps);
  const webhooks = openWebhooks(config, journal, {
    ...deps,
    runWithEvent: (trigger, delivery) => runWithEvent(trigger, delivery, scheduleDeps),
  });
  if (current.role !== 'worker') {
    addRequestLimits(server.app, deps.limiter);
    addApprovalRoutes(server.app, approvalDeps);
    addScheduleRoutes(server.app, scheduleDeps);
    addRunListRoute(server.app, api);
    addRunRoutes(server.app, api);
    addExportRoutes(server.app, api);
    addQueueRoutes(server.app, api);
    addEventRoutes(server.app, api);
    addTimelineRoutes(server.app, api);
    addWorkflowRoutes(server.app, scheduleDeps);
    addCloudEventRoutes(server.app, api);
    addWebhookRoutes(server.app, { ...webhooks.routes, recordChange: api.recordChange });
    addDocumentRoutes(server.app);
  }
  if (current.role !== 'http') {
    journal.onDue(runId => (runId === undefined ? worker.scan() : worker.ask(runId)));
    worker.start();
  }
  const removal = startRemoval({
    journal,
    approvals,
    clock,
    log: telemetry.log,
    keepMs: () => config.current.journal.keep_ended_ms,
    eventRoom: () => ({
      most: config.current.stored.events_per_tenant,
      mostBytes: config.current.stored.event_bytes_per_tenant,
    }),
  });

  return {
    server,
    async close() {
      redelivery.stop();
      runBudgets.close();
      await scheduler.stop();
      await webhooks.deliveries.stop();
      await removal.stop();
      await worker.stop();
      await Promise.all([...effects.values()].map(effect => effect.close?.()));
      await expressions.close();
      await grammar.close();
      await schemas.close();
      await journal.close();
    },
  };
}

/** Beside the other durable records where those are in PostgreSQL; else, or when a file is named, a file of its own. */
async function openJournal({ journal }: AgentGatewayConfig, deps: GatewayDeps): Promise<Journal> {
  const { url, connect_timeout_ms, statement_timeout_ms } = deps.store;
  const address = url?.reveal() ?? '';
  if (journal.path !== undefined || !/^postgres(ql)?:/.test(address))
    return openSqliteJournal(journal.path ?? join(deps.dataDir, 'journal.sqlite'));
  return openPostgresJournal({
    url: address,
    poolSize: journal.pool_size,
    connectTimeoutMs: connect_timeout_ms,
    statementTimeoutMs: statement_timeout_ms,
    clock: deps.clock,
    usesServerTime: true,
  });
}

interface DriverParts {
  readonly config: ConfigSource<AgentGatewayConfig>;
  readonly deps: GatewayDeps;
  readonly journal: Journal;
  readonly definitions: Definitions;
  readonly expressions: DriverDeps['expressions'];
  readonly schemas: DataSchemas;
  readonly effects: DriverDeps['effects'];
  readonly runBudgets: RunBudgets;
}

function driverDeps({
  config,
  deps,
  journal,
  definitions,
  expressions,
  schemas,
  effects,
  runBudgets,
}: DriverParts): DriverDeps {
  return {
    journal,
    types: taskTypes,
    expressions,
    schemas,
    effects,
    policy: deps.policy,
    agentPrices: () => agentPricesOf(config.current.agent_prices_usd, deps.priceOverrides),
    coverEnvelope: (envelope, run) => runBudgets.cover(envelope, run),
    telemetry: deps.telemetry,
    clock: deps.clock,
    live: deps.live,
    isUsable: deps.isUsable,
    cancelRun: deps.cancelRun,
    issueEnvelope: async (envelope, audience, run) =>
      deps.envelopes.issue(await runBudgets.cover(envelope, run), audience),
    random: Math.random,
    retry: () => ({
      maxAttempts: config.current.engine.call_attempts,
      firstDelayMs: config.current.engine.first_retry_ms,
      maxDelayMs: config.current.engine.max_retry_ms,
    }),
    loadWorkflow: hash => loadWorkflow(hash, { journal, definitions }),
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
