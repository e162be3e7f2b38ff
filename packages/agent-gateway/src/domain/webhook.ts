import type { Caller } from '@strata/shared/identity/caller.ts';
import type { CloudEvent } from './run-events.ts';

/** Where a tenant is told what its runs do. */
export interface Webhook {
  readonly id: string;
  readonly tenant: string;
  /** Who made it: it is told of no run that they may not see, and of none at all once their key is of no use. */
  readonly owner: Pick<Caller, 'tenant' | 'principal' | 'keyId'> & { readonly workflows: readonly string[] };
  readonly url: string;
  readonly description: string;
  /** Globs over types of events; `*` stands for any run of characters. */
  readonly types: readonly string[];
  /** What deliveries are signed with, sealed; the newest first. An older one signs too until its time is over. */
  readonly secrets: readonly WebhookSecret[];
  readonly isPaused: boolean;
  readonly createdAtMs: number;
  /** It has no address, and is told of the events that are published: with each the schedule of this name may start a run. */
  readonly schedule?: string;
}

export interface WebhookSecret {
  readonly sealed: string;
  readonly untilMs?: number;
}

/** How it goes with a webhook: what the operator of the receiver wants to know. */
export interface WebhookStanding {
  /** Deliveries in a row that failed. */
  readonly failures: number;
  /** Why the last one failed. */
  readonly problem: string | undefined;
  /** Before this nothing is sent to it. */
  readonly nextAtMs: number;
  readonly waiting: number;
  readonly dead: number;
}

/** One event on its way to one webhook. */
export interface Delivery {
  /** Rises with every event of a run: they are delivered in this order. */
  readonly id: number;
  readonly webhook: string;
  readonly runId: string;
  /** `namespace/name` of the run's workflow. */
  readonly workflow: string;
  readonly event: CloudEvent;
  readonly atMs: number;
  /** Attempts, the one under way included. */
  readonly tries: number;
  readonly problem: string | undefined;
}

export interface ClaimedDelivery {
  readonly webhook: Webhook;
  readonly delivery: Delivery;
}

export type DeliveryOutcome =
  | { readonly type: 'delivered' }
  /** The webhook wants nothing of it: neither delivered nor failed. */
  | { readonly type: 'dropped' }
  | { readonly type: 'failed'; readonly problem: string; readonly retryAtMs: number }
  /** Failed for the last time: it stays where it is found, and the next of its run goes on. */
  | { readonly type: 'dead'; readonly problem: string };

/**
 * Webhooks, and what they have not been told yet. It is in the store of the journal, because an event enters it with the records that it
 * tells of, or not at all (W11).
 */
export interface Outbox {
  /** Creates it, or changes it. */
  put(webhook: Webhook): Promise<void>;
  get(tenant: string, id: string): Promise<(Webhook & WebhookStanding) | undefined>;
  list(page: {
    readonly tenant: string;
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<(Webhook & WebhookStanding)[]>;
  /** With all that it was to be told. */
  delete(tenant: string, id: string): Promise<boolean>;
  /**
   * Takes deliveries that are due until `nowMs + leaseMs`. Of each run and webhook only the oldest that has not arrived: what comes later
   * waits for it.
   */
  claim(options: { nowMs: number; leaseMs: number; limit: number }): Promise<ClaimedDelivery[]>;
  /** Says how a delivery that was claimed has ended; nothing happens when it has been claimed again since. */
  settle(delivery: Delivery, outcome: DeliveryOutcome, atMs: number): Promise<void>;
  dead(page: {
    readonly webhook: string;
    readonly after: number;
    readonly limit: number;
  }): Promise<Delivery[]>;
  /** Sends what is dead again. Gives how many. */
  revive(webhook: string): Promise<number>;
  /** Removes what was announced before then, dead or not. Gives how many. */
  removeOld(options: { beforeMs: number; limit: number }): Promise<number>;
  /** Removes the oldest of every webhook that has more than that many, dead or not; at most `limit` of each. Gives how many. */
  trim(options: { most: number; limit: number }): Promise<number>;
}

const firstRetryMs = 5000;
const maxRetryMs = 3_600_000;

/**
 * Doubles from 5 s to an hour with every attempt that failed, or is what the receiver asks for. `random` is from 0 to 1: up to a quarter
 * is added, so that not all come back at one moment.
 */
export function deliveryDelayMs(tries: number, random: number, askedMs = 0): number {
  const delayMs = Math.max(askedMs, firstRetryMs * 2 ** Math.min(tries - 1, 20));
  return Math.round(Math.min(maxRetryMs, delayMs) * (1 + random / 4));
}
