import type { Clock, Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import type { LiveCaller } from '@strata/shared/identity/live-calls.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { Sealer } from '@strata/shared/sealer.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { retryAfterMsOf } from '../domain/upstream-refusal.ts';
import {
  type ClaimedDelivery,
  type Delivery,
  type DeliveryOutcome,
  deliveryDelayMs,
  type Outbox,
  type Webhook,
} from '../domain/webhook.ts';
import { type WebhookHosts, webhookAddress } from '../domain/webhook-address.ts';
import { signDelivery } from './sign-delivery.ts';

export interface DeliverySettings extends WebhookHosts {
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly keepMs: number;
  /** Of each webhook, waiting or put aside. */
  readonly mostKept: number;
  readonly concurrency: number;
}

export interface DeliveryDeps {
  readonly outbox: Outbox;
  readonly dialer: Dialer;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly log: Logger;
  /** A number from 0 to 1, for jitter. */
  readonly random: () => number;
  readonly isUsable: (caller: LiveCaller) => Promise<boolean>;
  readonly settings: () => DeliverySettings;
  /** What an event does that has come in for a schedule. */
  readonly runWithEvent: (trigger: Webhook, delivery: Delivery) => Promise<DeliveryOutcome>;
}

const lookEveryMs = 1000;
const leaseGraceMs = 5000;
const removeEveryMs = 60_000;
const removeBatch = 500;
const maxAnswerBytes = 65_536;

/**
 * Tells webhooks what is in the outbox. Every process looks; what one has taken no other takes before its lease is over, so an event
 * whose process dies is sent again: at least once, in order for each run.
 */
export class Deliveries {
  readonly #deps: DeliveryDeps;
  readonly #underWay = new Set<Promise<void>>();
  readonly #stopped = new AbortController();
  #timer: Scheduled | undefined;
  #looking: Promise<void> | undefined;
  #removedAtMs: number;

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
    this.#removedAtMs = deps.clock.now();
    this.#lookLater();
  }

  /** Deliveries under way are cut; what did not arrive is sent by another process, or later. */
  async stop(): Promise<void> {
    this.#stopped.abort(
      new GatewayError('overloaded', 'The gateway is shutting down.', { reason: 'draining' }),
    );
    this.#timer?.cancel();
    await this.#looking;
    await Promise.all(this.#underWay);
  }

  #lookLater(): void {
    this.#timer = this.#deps.clock.schedule(lookEveryMs, () => {
      void this.#look().finally(() => {
        if (!this.#stopped.signal.aborted) this.#lookLater();
      });
    });
  }

  /** One look at a time; never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#takeDue()
      .catch((error: unknown) =>
        this.#deps.log.warn({ err: error }, 'the outbox could not be read and waits'),
      )
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async #takeDue(): Promise<void> {
    const { outbox, clock, settings } = this.#deps;
    const { concurrency, timeoutMs, keepMs } = settings();
    const nowMs = clock.now();
    if (nowMs - this.#removedAtMs >= removeEveryMs) {
      this.#removedAtMs = nowMs;
      await this.#remove(nowMs - keepMs);
    }
    const limit = concurrency - this.#underWay.size;
    if (limit <= 0 || this.#stopped.signal.aborted) return;
    for (const claimed of await outbox.claim({ nowMs, leaseMs: timeoutMs + leaseGraceMs, limit })) {
      const delivered = this.#deliver(claimed).finally(() => {
        this.#underWay.delete(delivered);
        // The next of the same run may go now.
        if (!this.#stopped.signal.aborted) void this.#look();
      });
      this.#underWay.add(delivered);
    }
  }

  /** Batch after batch, small because whoever writes a run meanwhile waits for each. */
  async #remove(beforeMs: number): Promise<void> {
    const { outbox, settings } = this.#deps;
    const { mostKept: most } = settings();
    const batches = [
      () => outbox.removeOld({ beforeMs, limit: removeBatch }),
      () => outbox.trim({ most, limit: removeBatch }),
    ];
    for (const remove of batches) while ((await remove()) >= removeBatch && !this.#stopped.signal.aborted);
  }

  async #deliver(claimed: ClaimedDelivery): Promise<void> {
    const { outbox, clock, log } = this.#deps;
    try {
      const outcome = await tell(claimed, this.#stopped.signal, this.#deps);
      if (outcome !== undefined) await outbox.settle(claimed.delivery, outcome, clock.now());
    } catch (error) {
      const { id, webhook } = claimed.delivery;
      log.warn({ err: error, webhook, delivery: id }, 'a delivery could not be settled and is made again');
    }
  }
}

/** One attempt. Undefined when it is to be made again by whoever looks next. */
async function tell(
  { webhook, delivery }: ClaimedDelivery,
  stopped: AbortSignal,
  deps: DeliveryDeps,
): Promise<DeliveryOutcome | undefined> {
  const { outbox, isUsable } = deps;
  if (webhook.schedule === undefined && !matchesScope(webhook.owner.workflows, delivery.workflow))
    return { type: 'dropped' };
  if (!(await isUsable(webhook.owner))) {
    await outbox.put({ ...webhook, isPaused: true });
    return undefined;
  }
  if (webhook.schedule !== undefined) {
    return deps
      .runWithEvent(webhook, delivery)
      .catch((error: unknown) => failed(delivery, GatewayError.from(error), deps));
  }
  const answer = await post({ webhook, delivery }, stopped, deps).catch((error: unknown) =>
    GatewayError.from(error),
  );
  if (stopped.aborted) return undefined;
  if (answer instanceof GatewayError) return failed(delivery, answer, deps);
  const { status, retryAfterMs } = answer;
  if (status >= 200 && status < 300) return { type: 'delivered' };
  if (status === 410) await outbox.put({ ...webhook, isPaused: true });
  return failed(delivery, { message: `It answered ${status}.`, retryAfterMs }, deps);
}

function failed(
  { tries }: Delivery,
  { message: problem, retryAfterMs }: { readonly message: string; readonly retryAfterMs: number | undefined },
  { settings, random, clock }: DeliveryDeps,
): DeliveryOutcome {
  if (tries >= settings().attempts) return { type: 'dead', problem };
  return { type: 'failed', problem, retryAtMs: clock.now() + deliveryDelayMs(tries, random(), retryAfterMs) };
}

async function post(
  { webhook, delivery }: ClaimedDelivery,
  stopped: AbortSignal,
  { dialer, sealer, clock, settings }: DeliveryDeps,
): Promise<{ readonly status: number; readonly retryAfterMs: number | undefined }> {
  const { timeoutMs, ...hosts } = settings();
  const { origin, path } = webhookAddress(webhook.url, hosts);
  const body = JSON.stringify(delivery.event);
  const response = await dialer.request(origin, {
    method: 'POST',
    path,
    headers: {
      'content-type': 'application/cloudevents+json; charset=utf-8',
      'user-agent': 'strata-agent-gateway',
      ...signDelivery({ webhook, delivery, body, nowMs: clock.now() }, sealer),
    },
    body,
    signal: stopped,
    timeouts: { headersMs: timeoutMs, bodyMs: timeoutMs, totalMs: timeoutMs },
  });
  // Read, so that the connection can be used again; what it says is nobody's business.
  await response.readAll(maxAnswerBytes);
  return { status: response.status, retryAfterMs: retryAfterMsOf(response.headers['retry-after']) };
}
