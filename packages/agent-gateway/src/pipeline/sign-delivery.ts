import { randomBytes } from 'node:crypto';
import type { Sealer } from '@strata/shared/sealer.ts';
import { Webhook as Signer } from 'standardwebhooks';
import type { Delivery, Webhook, WebhookSecret } from '../domain/webhook.ts';

const purpose = 'webhook-secret';
const secretPrefix = 'whsec_';
const secretBytes = 32;

/** A secret to sign with, shown this once, and how it is kept. */
export function newWebhookSecret(sealer: Sealer): { readonly shown: string; readonly kept: WebhookSecret } {
  const shown = secretPrefix + randomBytes(secretBytes).toString('base64');
  return { shown, kept: { sealed: sealer.seal(purpose, shown) } };
}

/** The headers of Standard Webhooks 1.0: one signature for every secret that is in force. */
export function signDelivery(
  {
    webhook,
    delivery,
    body,
    nowMs,
  }: { webhook: Webhook; delivery: Pick<Delivery, 'id'>; body: string; nowMs: number },
  sealer: Sealer,
): Record<string, string> {
  const id = `${webhook.id}.${delivery.id}`;
  const at = new Date(nowMs);
  const signatures = webhook.secrets
    .filter(({ untilMs = nowMs }) => untilMs >= nowMs)
    .map(({ sealed }) => {
      const secret = sealer.open(purpose, sealed);
      if (secret === undefined)
        throw new Error(`The secret of '${webhook.id}' was sealed with another pepper`);
      return new Signer(secret).sign(id, at, body);
    });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(nowMs / 1000)),
    'webhook-signature': signatures.join(' '),
  };
}
