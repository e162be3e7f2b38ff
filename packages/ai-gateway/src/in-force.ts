import { hash } from 'node:crypto';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { PriceList } from '@strata/shared/money/price.ts';
import { builtInPrices, loadPriceFile, priceList, withLimitsOf } from '@strata/shared/money/price-catalog.ts';
import type { PriceOverrides } from '@strata/shared/money/price-overrides.ts';
import type { AiGatewaySection } from './config.ts';
import type { Capabilities } from './domain/capabilities.ts';
import type { ModelProvider } from './domain/provider.ts';
import type { Route, RouteTable } from './domain/route.ts';
import type { RealtimeLimits } from './http/realtime-endpoint.ts';
import type { UpstreamLimits } from './pipeline/call-upstream.ts';
import type { AttemptPolicy } from './pipeline/try-places.ts';
import { createProvider } from './providers/registry.ts';

/** Everything that follows from one configuration, made once when it comes into force. */
export interface InForce {
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

export function takeOver(section: AiGatewaySection, deps: GatewayDeps): InForce {
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

function realtimeLimits({ realtime, client_stall_ms }: AiGatewaySection): RealtimeLimits {
  return {
    maxMessageBytes: realtime.max_message_bytes,
    maxSessionMs: realtime.max_session_ms,
    idleTimeoutMs: realtime.idle_timeout_ms,
    handshakeTimeoutMs: realtime.handshake_timeout_ms,
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
  const routes = Object.entries(models).map(([alias, { targets, capabilities, hedge }]): [string, Route] => [
    alias,
    {
      alias,
      ...(capabilities && { declared: declaredBy(capabilities) }),
      ...(hedge && { hedge: { afterMs: hedge.after_ms, maxShare: hedge.max_share } }),
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
