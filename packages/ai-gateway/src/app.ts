import { hash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import { builtInPrices, loadPriceFile, priceList, withLimitsOf } from '@strata/shared/money/price-catalog.ts';
import type { PriceOverrides } from '@strata/shared/money/price-overrides.ts';
import { compose } from '@strata/shared/pipeline.ts';
import { Breaker, type BreakerOptions } from '@strata/shared/resilience/breaker.ts';
import type { ConcurrencyOptions } from '@strata/shared/resilience/concurrency.ts';
import { RetryBudget } from '@strata/shared/resilience/retry-budget.ts';
import { defaultRetryQuota, RetryQuota } from '@strata/shared/resilience/retry-quota.ts';
import type { FastifyInstance } from 'fastify';
import type { AiGatewaySection } from './config.ts';
import type {
  Answer,
  Attempt,
  AttemptStage,
  Brought,
  Call,
  CallStage,
  SessionAnswer,
} from './domain/call.ts';
import type { Capabilities } from './domain/capabilities.ts';
import type { ModelProvider } from './domain/provider.ts';
import type { ProviderObjectStore } from './domain/provider-object.ts';
import type { Route, RouteTable } from './domain/route.ts';
import type { UsageSink } from './domain/usage-record.ts';
import { addBatchesEndpoints } from './http/batches-endpoints.ts';
import { addConversationsEndpoints } from './http/conversations-endpoints.ts';
import { addConverseEndpoints } from './http/converse-endpoints.ts';
import { addCountEndpoint } from './http/count-endpoint.ts';
import { addFilesEndpoints, filesPath } from './http/files-endpoints.ts';
import { addGeminiEndpoints } from './http/gemini-endpoints.ts';
import { addMessageBatchesEndpoints } from './http/message-batches-endpoints.ts';
import { addModelEndpoint } from './http/model-endpoint.ts';
import { addModelsEndpoint } from './http/models-endpoint.ts';
import { addRawEndpoint } from './http/raw-endpoint.ts';
import { addRealtimeEndpoint, type RealtimeLimits } from './http/realtime-endpoint.ts';
import { createReceiveForm, receiveForms } from './http/receive-forms.ts';
import { namesFiles, refuseForeignFiles } from './http/refuse-foreign-files.ts';
import { addResponsesEndpoints } from './http/responses-endpoints.ts';
import { type AttemptPolicy, createAttempts } from './pipeline/attempts.ts';
import { BackgroundRuns } from './pipeline/background-runs.ts';
import { messageBatches, openaiBatches } from './pipeline/batch-apis.ts';
import { createCallUpstream, type UpstreamLimits } from './pipeline/call-upstream.ts';
import { createCountTokens } from './pipeline/count-tokens.ts';
import { createProviderApi } from './pipeline/provider-api.ts';
import { ProviderObjects } from './pipeline/provider-objects.ts';
import { createOpenRealtime } from './pipeline/realtime-session.ts';
import { type BatchSettler, createBatchSettler } from './pipeline/settle-batches.ts';
import { createAuthorize } from './policies/authorize.ts';
import { createBreakerStage } from './policies/breaker.ts';
import { createBudgetStage } from './policies/budget.ts';
import { createConcurrency } from './policies/concurrency.ts';
import { createFailureMeter, createMeter } from './policies/meter.ts';
import { createRateLimit } from './policies/rate-limit.ts';
import { createRefuseUnpriced } from './policies/refuse-unpriced.ts';
import { createRequireLedger } from './policies/require-ledger.ts';
import { createRest } from './policies/rest.ts';
import { createTraceAttempt } from './policies/trace-attempt.ts';
import { createTraceCall } from './policies/trace-call.ts';
import { anthropicMessages } from './protocols/anthropic-messages/anthropic-messages.ts';
import { openaiChat } from './protocols/openai-chat/openai-chat.ts';
import { protocols } from './protocols/registry.ts';
import { sameProtocolApis } from './protocols/same-protocol/same-protocol.ts';
import { createProvider } from './providers/registry.ts';
import { createBackgroundStore } from './store/background-store.ts';
import { createConversationStore } from './store/conversation-store.ts';
import { createFileSpool } from './store/file-spool.ts';
import { createProviderObjectStore } from './store/provider-object-store.ts';
import { createResponseStore } from './store/response-store.ts';
import { startSweeping } from './store/sweep-conversations.ts';
import { createUsageEntries } from './store/usage-entries.ts';
import { createUsageMetrics } from './store/usage-metrics.ts';

/**
 * Twenty retries after failures, then one for five requests. The fivefold that SDKs have would let too many through while half
 * of all fails (F36).
 */
const retryQuotaCapacity = 100;

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
  const tracing: AttemptStage[] = telemetry.isTracing ? [createTraceAttempt(telemetry)] : [];
  const gates: AttemptStage[] = [
    createAuthorize(deps.policy),
    createRefuseUnpriced(() => inForce.unpriced),
    createRest({ clock }),
    createConcurrency({ clock, options: concurrencyOptions(config.current) }),
    createBreakerStage({ breaker: new Breaker(breakerOptions(config.current), clock) }),
  ];
  const trying = {
    clock,
    policy: () => inForce.policy,
    budget: new RetryBudget(),
    quota: new RetryQuota({ ...defaultRetryQuota, capacity: retryQuotaCapacity }),
    random: Math.random,
  };
  const answer = compose<Call, Answer>(
    requestStages,
    createAttempts<Answer>({
      ...trying,
      perform: compose<Attempt, Answer>(
        [...tracing, createBudgetStage(deps.budgets), createMeter({ clock, sink: usage }), ...gates],
        createCallUpstream({ dialer: deps.dialer, clock, protocols, limits: () => inForce.limits }),
      ),
    }),
  );
  const openSession = compose<Call, Brought>(
    requestStages,
    createAttempts<SessionAnswer>({
      ...trying,
      perform: compose<Attempt, SessionAnswer>(
        [...tracing, createFailureMeter({ clock, sink: usage }), ...gates],
        createOpenRealtime({
          ...{ clock, sink: usage, budgets: deps.budgets },
          pricesOf: ({ target }, model) => inForce.known(target.provider, model),
          dial: () => ({ dialer: deps.dialer, clock, ...inForce.limits, ...inForce.realtime }),
        }),
      ),
    }),
  );

  const conversations = openConversations(config, deps, answer);
  const server = createGatewayServer({
    name: deps.name,
    config: config.current.listen,
    telemetry,
    clock,
    authenticate: deps.authenticate,
    acceptsHttp2: true,
    live: deps.live,
    errors: problemErrors,
    onRefused: deps.refusals.recordRequest,
  });
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
  addModelEndpoint(server, { path: '/v1/chat/completions', protocol: openaiChat, prepare }, endpointDeps);
  addResponsesEndpoints(server, {
    ...endpointDeps,
    ...conversations,
    log: telemetry.log,
    beforeReading: prepare,
  });
  addConversationsEndpoints(server.app, { conversations: conversations.conversations, clock });
  addModelEndpoint(server, { path: '/v1/messages', protocol: anthropicMessages, prepare }, endpointDeps);
  addGeminiEndpoints(server, endpointDeps);
  addConverseEndpoints(server, endpointDeps);
  addCountEndpoint(server, { path: '/v1/messages/count_tokens', protocol: anthropicMessages }, endpointDeps);
  for (const api of sameProtocolApis)
    addModelEndpoint(server, api.mediaTypes === undefined ? api : { ...api, receive }, endpointDeps);
  addRawEndpoint(server, {
    ...endpointDeps,
    providers: () => inForce.providers,
    pricesOf: (provider, model) => inForce.known(provider, model),
  });
  addRealtimeEndpoint(server, {
    ...{ clock, routes, open: openSession },
    transcriptionModel: () => inForce.transcriptionModel,
    limits: () => inForce.realtime,
  });
  const batches = addProviderObjects(server.app, deps, { inForce: () => inForce, store: objectStore });
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
  { inForce, store }: { inForce: () => InForce; store: ProviderObjectStore },
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

const openSpool = () => createFileSpool(tmpdir());

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

/** Everything that follows from one configuration, made once when it comes into force. */
interface InForce {
  readonly providers: ReadonlyMap<string, ModelProvider>;
  readonly known: KnownPrices;
  readonly routes: RouteTable;
  /** The same routes with the prices that are known now. */
  readonly priceRoutes: () => RouteTable;
  readonly policy: AttemptPolicy;
  readonly limits: UpstreamLimits;
  readonly totalTimeoutMs: number;
  readonly sinceMs: number;
  readonly unpriced: AiGatewaySection['unpriced'];
  readonly filesProvider: string | undefined;
  readonly realtime: RealtimeLimits;
  readonly transcriptionModel: string | undefined;
}

function takeOver(section: AiGatewaySection, deps: GatewayDeps): InForce {
  const { attempts, hold } = section;
  const providers = buildProviders(section, deps);
  const known = knownPrices(section.price_file, deps.priceOverrides);
  const priceRoutes = () => buildRoutes(section, providers, known);
  return {
    providers,
    sinceMs: deps.clock.now(),
    unpriced: section.unpriced,
    filesProvider: section.files_provider,
    realtime: realtimeLimits(section),
    transcriptionModel: section.realtime.transcription_model,
    known,
    routes: priceRoutes(),
    priceRoutes,
    policy: {
      maxAttempts: attempts.max_attempts,
      maxRounds: attempts.max_rounds,
      maxWaitMs: attempts.max_wait_ms,
    },
    totalTimeoutMs: attempts.total_timeout_ms,
    limits: {
      hold: { maxEvents: hold.max_events, maxBytes: hold.max_bytes, maxMs: hold.max_ms },
      maxAnswerBytes: section.max_answer_bytes,
      maxRetryAfterMs: attempts.max_retry_after_ms,
      clientStallMs: section.client_stall_ms,
      headersTimeoutMs: attempts.headers_timeout_ms,
      firstTokenTimeoutMs: attempts.first_token_timeout_ms,
      idleTimeoutMs: attempts.idle_timeout_ms,
      onUnsupported: section.on_unsupported,
    },
  };
}

function realtimeLimits({ realtime, attempts, client_stall_ms }: AiGatewaySection): RealtimeLimits {
  return {
    maxMessageBytes: realtime.max_message_bytes,
    maxSessionMs: realtime.max_session_ms,
    idleTimeoutMs: realtime.idle_timeout_ms,
    handshakeTimeoutMs: attempts.headers_timeout_ms,
    clientStallMs: client_stall_ms,
  };
}

type ModelConfig = AiGatewaySection['models'][string];
type TargetConfig = ModelConfig['targets'][number];

type Providers = ReadonlyMap<string, ModelProvider>;

function buildProviders({ providers }: AiGatewaySection, { clock, dialer }: GatewayDeps): Providers {
  return new Map(
    Object.entries(providers).map(([name, options]) => [
      name,
      createProvider(options, { name, clock, dialer }),
    ]),
  );
}

function buildRoutes({ models }: AiGatewaySection, made: Providers, known: KnownPrices): RouteTable {
  const routes = Object.entries(models).map(([alias, { targets, capabilities }]): [string, Route] => [
    alias,
    {
      alias,
      ...(capabilities && { declared: declaredBy(capabilities) }),
      targets: targets.flatMap(target => {
        const { provider: name, model } = target;
        const provider = made.get(name);
        if (provider === undefined) return []; // the schema refuses such a configuration
        return [
          {
            id: `${name}/${model}`,
            provider,
            model,
            prices: pricesOf(provider, target, known),
            weight: target.weight,
          },
        ];
      }),
    },
  ]);
  return new Map(routes);
}

function declaredBy(written: NonNullable<ModelConfig['capabilities']>): Capabilities {
  return {
    contextTokens: written.context_tokens,
    maxOutputTokens: written.max_output_tokens,
    inputModalities: written.input_modalities,
    outputModalities: written.output_modalities,
    features: written.features,
  };
}

/** What the configuration says, else what the catalog knows of the vendor's model. */
function pricesOf(provider: ModelProvider, target: TargetConfig, known: KnownPrices): PriceList | undefined {
  const listed = known(provider, target.model);
  if (target.prices !== undefined) {
    const written = JSON.stringify(target.prices);
    const own = priceList(target.prices, `config/${hash('sha256', written).slice(0, 12)}`);
    return withLimitsOf(own, listed);
  }
  return listed;
}

type KnownPrices = (provider: ModelProvider, model: string) => PriceList | undefined;

/** What the admin API has set wins over the price file, and that over the built-in catalog. */
function knownPrices(priceFile: string | undefined, overrides: PriceOverrides): KnownPrices {
  const own = priceFile === undefined ? undefined : loadPriceFile(priceFile);
  const listed = (vendor: string, model: string) =>
    own?.find(vendor, model) ?? builtInPrices().find(vendor, model);
  return ({ vendor, name }, model) => {
    const beneath = vendor === undefined ? undefined : listed(vendor, model);
    const override = overrides.find(vendor ?? name, model);
    return override === undefined ? beneath : withLimitsOf(override, beneath);
  };
}
