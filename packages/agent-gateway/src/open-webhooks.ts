import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { AgentGatewayConfig } from './config.ts';
import type { Journal } from './domain/journal.ts';
import { webhookAddress } from './domain/webhook-address.ts';
import type { WebhookDeps } from './pipeline/change-webhooks.ts';
import { Deliveries, type DeliveryDeps, type DeliverySettings } from './pipeline/deliver-webhooks.ts';

/** The two sides of webhooks: the routes that change them, and the deliveries that go on by themselves. */
export function openWebhooks(
  config: ConfigSource<AgentGatewayConfig>,
  { outbox }: Journal,
  deps: GatewayDeps & Pick<DeliveryDeps, 'runWithEvent'>,
): { readonly routes: WebhookDeps; readonly deliveries: Deliveries } {
  const settings = () => settingsOf(config.current);
  return {
    deliveries: new Deliveries({ ...deps, outbox, log: deps.telemetry.log, random: Math.random, settings }),
    routes: {
      outbox,
      clock: deps.clock,
      sealer: deps.sealer,
      maxPerTenant: () => config.current.webhooks.per_tenant,
      requireAddress: url => void webhookAddress(url, settings()),
    },
  };
}

function settingsOf({ webhooks }: AgentGatewayConfig): DeliverySettings {
  return {
    allowedHosts: webhooks.allowed_hosts,
    privateHosts: webhooks.private_hosts,
    timeoutMs: webhooks.timeout_ms,
    attempts: webhooks.attempts,
    keepMs: webhooks.keep_ms,
    mostKept: webhooks.events_per_webhook,
    concurrency: webhooks.concurrency,
  };
}
