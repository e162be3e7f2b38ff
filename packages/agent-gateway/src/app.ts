import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import { openOwnTables } from '@strata/shared/stores/own-tables.ts';
import type { SharedSchema } from '@strata/shared/stores/shared-schema.ts';
import type { AgentGatewayConfig } from './config.ts';
import { nextTime } from './dsl/next-time.ts';
import type { ApiDeps } from './http/api-deps.ts';
import { addApprovalRoutes } from './http/approval-routes.ts';
import { addArtifactRoutes } from './http/artifact-routes.ts';
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
import { addStoreRoutes } from './http/store-routes.ts';
import { addThreadRoutes } from './http/thread-routes.ts';
import { addTimelineRoutes } from './http/timeline-routes.ts';
import { addWebhookRoutes } from './http/webhook-routes.ts';
import { addWorkflowRoutes } from './http/workflow-routes.ts';
import { openJournal } from './open-journal.ts';
import { openLanguage } from './open-language.ts';
import { openWebhooks } from './open-webhooks.ts';
import { openWorker } from './open-worker.ts';
import { createApprovalStandings } from './pipeline/approval-standing.ts';
import { startRedelivery } from './pipeline/redelivery.ts';
import { startRemoval } from './pipeline/remove-ended.ts';
import { runWithEvent, type ScheduleDeps, startSchedules } from './pipeline/run-schedules.ts';
import { artifactRoomOf, limitsOf, storeRoomOf, threadRoomOf } from './run-limits.ts';
import { type ApprovalSchema, approvalMigrations } from './store/approval-schema.ts';
import { createApprovals } from './store/approvals.ts';
import { type ArtifactSchema, artifactMigrations } from './store/artifact-schema.ts';
import { createArtifacts } from './store/artifacts.ts';
import { type ItemSchema, itemMigrations } from './store/item-schema.ts';
import { createItems } from './store/items.ts';
import { type ScheduleSchema, scheduleMigrations } from './store/schedule-schema.ts';
import { createSchedules } from './store/schedules.ts';
import { type ThreadSchema, threadMigrations } from './store/thread-schema.ts';
import { createThreads } from './store/threads.ts';
import { givenResults } from './tasks/given-results.ts';
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
  const language = openLanguage(config, deps);
  const { definitions, schemas, expressions, compileTrigger } = language;
  const own = await openOwnTables<
    ApprovalSchema & ScheduleSchema & ItemSchema & ArtifactSchema & ThreadSchema,
    SharedSchema
  >(
    deps.sql,
    [approvalMigrations, scheduleMigrations, itemMigrations, artifactMigrations, threadMigrations],
    clock,
  );
  const approvals = createApprovals({ sql: own, audit: deps.audit });
  const items = createItems(own);
  const threads = createThreads(own);
  const worker = openWorker(config, deps, { ...language, journal, approvals });
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
    threads,
    givenResults,
    expressions,
    recordChange: createRecordChange(deps.audit),
    limits: () => limitsOf(config.current),
    createRun: worker.createRun,
    onCreated: worker.onCreated,
    onAsked: worker.onAsked,
    maxWaitMs: () => config.current.max_wait_ms,
    maxExportBytes: config.current.max_export_bytes,
    maxWorkflows: () => config.current.stored.workflows_per_tenant,
    isDraining: () => server.isDraining,
  };
  const standings = createApprovalStandings({ journal, clock });
  const approvalDeps = { approvals, standings, journal, schemas, clock, onAsked: api.onAsked };
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
    addStoreRoutes(server.app, { items, clock, room: () => storeRoomOf(config.current) });
    addArtifactRoutes(server.app, {
      artifacts: createArtifacts(own),
      clock,
      room: () => artifactRoomOf(config.current),
    });
    addThreadRoutes(server.app, { threads, journal, clock, room: () => threadRoomOf(config.current) });
    addDocumentRoutes(server.app);
  }
  if (current.role !== 'http') worker.start();
  const removal = startRemoval({
    journal,
    items,
    threads,
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
      await scheduler.stop();
      await webhooks.deliveries.stop();
      await removal.stop();
      await worker.close();
      await language.close();
      await journal.close();
    },
  };
}
