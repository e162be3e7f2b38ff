import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { newId } from '@strata/shared/ids.ts';
import type { Sealer } from '@strata/shared/sealer.ts';
import type { Outbox, Webhook } from '../domain/webhook.ts';
import { newWebhookSecret } from './sign-delivery.ts';

export interface WebhookDeps {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly sealer: Sealer;
  /** Webhooks that one tenant may have. */
  readonly maxPerTenant: () => number;
  /** @throws GatewayError as `webhookAddress`. */
  readonly requireAddress: (url: string) => void;
}

/** How long the secret before signs too after a rotation. */
const graceMs = 24 * 3_600_000;

/** @throws GatewayError as `webhookAddress`; conflict (`too_many_webhooks`). */
export async function createWebhook(
  wanted: Pick<Webhook, 'url' | 'types' | 'description'>,
  caller: Caller,
  deps: WebhookDeps,
): Promise<{ webhook: Webhook; secret: string }> {
  deps.requireAddress(wanted.url);
  const { tenant, principal, keyId, scopes } = caller;
  const most = deps.maxPerTenant();
  const existing = await deps.outbox.list({ tenant, after: undefined, limit: most });
  if (existing.length >= most) {
    throw new GatewayError('conflict', `There are ${most} webhooks; there may be no more.`, {
      reason: 'too_many_webhooks',
    });
  }
  const { shown, kept } = newWebhookSecret(deps.sealer);
  const nowMs = deps.clock.now();
  const webhook: Webhook = {
    ...wanted,
    id: newId('webhook', nowMs),
    tenant,
    owner: { tenant, principal, keyId, workflows: scopes.workflows },
    secrets: [kept],
    isPaused: false,
    createdAtMs: nowMs,
  };
  await deps.outbox.put(webhook);
  return { webhook, secret: shown };
}

/** A new secret; the newest one until now goes on for a day, those before it end. */
export function rotateSecret(
  webhook: Webhook,
  { sealer, clock }: Pick<WebhookDeps, 'sealer' | 'clock'>,
): { changed: Webhook; secret: string } {
  const { shown, kept } = newWebhookSecret(sealer);
  const before = webhook.secrets
    .slice(0, 1)
    .map(({ sealed }) => ({ sealed, untilMs: clock.now() + graceMs }));
  return { changed: { ...webhook, secrets: [kept, ...before] }, secret: shown };
}

export function webhookNotFound(): GatewayError {
  return new GatewayError('not_found', 'There is no such webhook.', { reason: 'webhook_not_found' });
}
