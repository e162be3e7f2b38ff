import type { Hot } from '@strata/shared/stores/hot.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { SessionEnd } from '../domain/session.ts';
import {
  type SessionLease,
  type SessionRecord,
  type SessionStore,
  sessionKey,
} from '../domain/session-record.ts';
import type { GatewaySettings } from '../domain/settings.ts';

export interface SessionKeepingOptions {
  readonly tag: string;
  readonly hot: Hot;
  readonly log: Logger;
  readonly instance: string;
  readonly settings: () => GatewaySettings;
  /** Where other replicas find the session; undefined where there are none. */
  readonly store: SessionStore | undefined;
  /** Of a session that other replicas may take over. */
  readonly lease: SessionLease | undefined;
  readonly record: () => SessionRecord;
  readonly isOpen: () => boolean;
  /** Another replica is the owner now. */
  readonly onFenced: () => void;
}

/** Who owns one session, and what the next owner would need of it. */
export class SessionKeeping {
  /** Whether other replicas know the session. */
  readonly isShared: boolean;
  readonly #options: SessionKeepingOptions;
  #lease: Promise<SessionLease> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: SessionKeepingOptions) {
    this.#options = options;
    this.isShared = options.lease !== undefined;
    this.#lease = options.lease && Promise.resolve(options.lease);
  }

  /** Tells the store what another replica would need. One after the other; the last one says everything. */
  save(): void {
    const { store, tag, record, isOpen, onFenced, log } = this.#options;
    if (!this.isShared || store === undefined) return;
    this.#saving = this.#saving
      .then(async () => {
        if (isOpen() && !(await store.save(tag, record(), await this.ownership()))) onFenced();
      })
      .catch((error: unknown) => {
        log.warn({ session: tag, err: error }, 'the session could not be stored');
      });
  }

  /** A session that ends is over everywhere; one that is only left here goes on with whoever takes it. */
  async giveUp(reason: SessionEnd | undefined): Promise<void> {
    const { store, hot, instance, tag } = this.#options;
    const lease = await this.#lease;
    if (!lease) return;
    await this.#saving;
    if (!this.isShared || store === undefined) await hot.releaseLease(lease.key, instance, lease.fence);
    else if (reason === 'shutdown') await store.release(lease);
    else if (reason !== 'fenced') await store.end(tag, lease);
  }

  /** Taken with the first event: a session that only exchanges JSON leaves nothing in the store. */
  ownership(): Promise<SessionLease> {
    this.#lease ??= this.#acquire().catch((error: unknown) => {
      this.#lease = undefined;
      throw error;
    });
    return this.#lease;
  }

  async #acquire(): Promise<SessionLease> {
    const { hot, instance, settings, tag } = this.#options;
    const key = sessionKey(tag, 'lease');
    const lease = await hot.acquireLease(key, instance, settings().sessions.absoluteMs);
    return { key, fence: lease?.fence ?? -1 };
  }
}
