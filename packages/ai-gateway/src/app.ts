import { join } from 'node:path';
import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { FastifyInstance } from 'fastify';
import type { AiGatewaySection } from './config.ts';
import { createPipeline } from './create-pipeline.ts';
import type { Answer, Call } from './domain/call.ts';
import type { ProviderObjectStore } from './domain/provider-object.ts';
import type { OpenSpool } from './domain/spool.ts';
import type { UsageSink } from './domain/usage-record.ts';
import { addDeploymentEndpoint, azureUrl } from './http/azure-endpoints.ts';
import { addBatchesEndpoints } from './http/batches-endpoints.ts';
import { addConversationsEndpoints } from './http/conversations-endpoints.ts';
import { addConverseEndpoints } from './http/converse-endpoints.ts';
import { addCountEndpoint } from './http/count-endpoint.ts';
import { errorsFor } from './http/error-shapes.ts';
import { addFilesEndpoints, filesPath } from './http/files-endpoints.ts';
import { addGeminiEndpoints } from './http/gemini-endpoints.ts';
import { addVertexMessagesEndpoints } from './http/hosted-messages-endpoints.ts';
import { addMessageBatchesEndpoints } from './http/message-batches-endpoints.ts';
import { addModelEndpoint, type ModelEndpoint } from './http/model-endpoint.ts';
import { addModelsEndpoint } from './http/models-endpoint.ts';
import { addRawEndpoint } from './http/raw-endpoint.ts';
import { addRealtimeEndpoint } from './http/realtime-endpoint.ts';
import { createReceiveBytes, createReceiveForm, receiveForms } from './http/receive-forms.ts';
import { namesFiles, refuseForeignFiles } from './http/refuse-foreign-files.ts';
import { addResponsesEndpoints } from './http/responses-endpoints.ts';
import { type InForce, takeOver } from './in-force.ts';
import { BackgroundRuns } from './pipeline/background-runs.ts';
import { messageBatches, openaiBatches } from './pipeline/batch-apis.ts';
import { createCountTokens } from './pipeline/count-tokens.ts';
import { createProviderApi } from './pipeline/provider-api.ts';
import { ProviderObjects } from './pipeline/provider-objects.ts';
import { type BatchSettler, createBatchSettler } from './pipeline/settle-batches.ts';
import { anthropicMessages } from './protocols/anthropic-messages/anthropic-messages.ts';
import { cohereChat } from './protocols/cohere-chat/cohere-chat.ts';
import { openaiChat } from './protocols/openai-chat/openai-chat.ts';
import { protocols } from './protocols/registry.ts';
import { sameProtocolApis } from './protocols/same-protocol/same-protocol.ts';
import { createBackgroundStore } from './store/background-store.ts';
import { createConversationStore } from './store/conversation-store.ts';
import { createFileSpools } from './store/file-spool.ts';
import { createProviderObjectStore } from './store/provider-object-store.ts';
import { createResponseStore } from './store/response-store.ts';
import { startSweeping } from './store/sweep-conversations.ts';

/**
 * What a request goes through, in order: the server's hooks (limits, key), the endpoint (protocol, route), the request stages, the attempts;
 * each attempt goes through the attempt stages and ends at its target.
 */
export async function createAiGateway(
  config: ConfigSource<AiGatewaySection>,
  deps: GatewayDeps,
  options: { readonly usage?: UsageSink } = {},
): Promise<GatewayApp> {
  const { clock, telemetry } = deps;
  let inForce = takeOver(config.current, deps);
  const stopListening = [
    config.onChange(next => {
      inForce = takeOver(next, deps);
    }),
    deps.priceOverrides.onChange(() => {
      inForce = { ...inForce, routes: inForce.priceRoutes() };
    }),
  ];
  const { answer, openSession } = createPipeline(config, deps, { ...options, inForce: () => inForce });
  const conversations = openConversations(config, deps, answer);
  const server = createGatewayServer({
    name: deps.name,
    config: config.current.listen,
    telemetry,
    clock,
    authenticate: deps.authenticate,
    acceptsHttp2: true,
    readUrl: azureUrl,
    live: deps.live,
    errors: problemErrors,
    errorsFor,
    onRefused: deps.refusals.recordRequest,
  });
  const openSpool = createFileSpools(join(deps.dataDir, 'uploads'));
  const forms = { openSpool, maxFormBytes: () => config.current.max_upload_bytes };
  const receive = createReceiveForm(forms);
  receiveForms(server.app, {
    ...forms,
    maxBodyBytes: config.current.listen.max_body_bytes,
    paths: new Set([filesPath]),
  });
  addAdminApi(server.app, deps);
  const routes = () => inForce.routes;
  const count = createCountTokens({ dialer: deps.dialer, clock, protocols });
  const totalTimeoutMs = () => inForce.totalTimeoutMs;
  const endpointDeps = { clock, routes, answer, count, totalTimeoutMs };
  const objectStore = createProviderObjectStore({ sql: deps.sql, clock });
  const prepare = (body: Buffer, caller: Caller) =>
    namesFiles(body) ? refuseForeignFiles(objectStore, body, caller).then(() => body) : body;
  addResponsesEndpoints(server, {
    ...endpointDeps,
    ...conversations,
    log: telemetry.log,
    beforeReading: prepare,
  });
  addConversationsEndpoints(server.app, { conversations: conversations.conversations, clock });
  addModelEndpoint(server, { path: '/v1/messages', protocol: anthropicMessages, prepare }, endpointDeps);
  addGeminiEndpoints(server, endpointDeps);
  addConverseEndpoints(server, { ...endpointDeps, prepare });
  addVertexMessagesEndpoints(server, { ...endpointDeps, prepare });
  addCountEndpoint(server, { path: '/v1/messages/count_tokens', protocol: anthropicMessages }, endpointDeps);
  const endpoints: ModelEndpoint[] = [
    { path: '/v1/chat/completions', protocol: openaiChat, prepare },
    { path: '/v2/chat', protocol: cohereChat },
    ...sameProtocolApis.map(api => (api.mediaTypes === undefined ? api : { ...api, receive })),
  ];
  for (const endpoint of endpoints) {
    addModelEndpoint(server, endpoint, endpointDeps);
    if (endpoint.path.startsWith('/v1/')) addDeploymentEndpoint(server, endpoint, endpointDeps);
  }
  addRawEndpoint(server, {
    ...endpointDeps,
    providers: () => inForce.providers,
    pricesOf: (provider, model) => inForce.known(provider, model),
    receive: createReceiveBytes(forms),
    maxBodyBytes: config.current.listen.max_body_bytes,
  });
  addRealtimeEndpoint(server, {
    ...{ clock, routes, open: openSession },
    transcriptionModel: () => inForce.transcriptionModel,
    limits: () => inForce.realtime,
  });
  const batches = addProviderObjects(server.app, deps, {
    inForce: () => inForce,
    store: objectStore,
    openSpool,
  });
  addModelsEndpoint(server.app, { routes, since: () => inForce.sinceMs });

  return {
    server,
    async close() {
      for (const stop of stopListening) stop();
      await conversations.close();
      batches.close();
    },
  };
}

/** What is kept of answers, and those that are made in the background. */
function openConversations(
  config: ConfigSource<AiGatewaySection>,
  deps: GatewayDeps,
  answer: (call: Call) => Promise<Answer>,
) {
  const { sql, clock, live, hot } = deps;
  const { log } = deps.telemetry;
  const limits = () => config.current.conversations;
  const stored = { sql, clock, ttlMs: () => limits().ttl_ms };
  const responses = createResponseStore(stored);
  const conversations = createConversationStore({
    ...stored,
    maxConversations: () => limits().max_conversations,
  });
  const background = createBackgroundStore({ ...stored, eventTtlMs: () => limits().event_ttl_ms });
  const runs = new BackgroundRuns({
    ...{ clock, log, live, hot, store: background, answer },
    remove: ({ owner, id }) => responses.remove(owner, id),
    limits: () => ({
      maxRuns: limits().max_background,
      maxBytes: config.current.max_answer_bytes,
      totalTimeoutMs: config.current.attempts.total_timeout_ms,
    }),
  });
  const stopSweeping = startSweeping([responses, conversations, background], { clock, log });
  return {
    ...{ responses, conversations, background, runs },
    async close() {
      stopSweeping();
      await runs.close(config.current.listen.drain_timeout_ms);
    },
  };
}

/** Files and batches that lie at providers. */
function addProviderObjects(
  app: FastifyInstance,
  deps: GatewayDeps,
  {
    inForce,
    store,
    openSpool,
  }: {
    readonly inForce: () => InForce;
    readonly store: ProviderObjectStore;
    readonly openSpool: OpenSpool;
  },
): BatchSettler {
  const { clock, dialer, budgets, ledger, telemetry } = deps;
  const api = createProviderApi({ dialer, clock });
  const settler = createBatchSettler({
    ...{ api, store, budgets, ledger, clock },
    log: telemetry.log,
    apis: [openaiBatches, messageBatches],
    provider: name => inForce().providers.get(name),
    pricesOf: (provider, { alias, model }) =>
      inForce()
        .routes.get(alias)
        ?.targets.find(target => target.provider.name === provider.name && target.model === model)?.prices ??
      inForce().known(provider, model),
  });
  const objects = new ProviderObjects({
    ...{ api, store, ledger },
    limiter: deps.limiter,
    policy: deps.policy,
    routes: () => inForce().routes,
    providers: () => inForce().providers,
  });
  const endpointDeps = {
    ...{ objects, settler, clock },
    log: telemetry.log,
    filesProvider: () => inForce().filesProvider,
    openSpool,
  };
  addFilesEndpoints(app, endpointDeps);
  addBatchesEndpoints(app, endpointDeps);
  addMessageBatchesEndpoints(app, endpointDeps);
  return settler;
}
