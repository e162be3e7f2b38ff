import type { Clock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Hot } from '@strata/shared/stores/hot.ts';
import {
  type SessionLease,
  type SessionOwner,
  type SessionRecord,
  type SessionStore,
  type StoredSession,
  sessionKey,
} from '../domain/session-record.ts';

/** A replica that dies between taking a lease and writing the record does not keep others out for longer than this. */
const claimMs = 5000;
const tombstoneMs = 60_000;
const tombstone = 'ended';

/**
 * Sessions in the hot store: a lease that says whose a session is, and beside it a ring of one entry, the record. A ring takes an entry
 * only under the lease's latest fence, so a replica that was taken for dead cannot write over what its successor wrote (MCP-2).
 */
export function createHotSessionStore(options: {
  readonly hot: Hot;
  readonly clock: Clock;
  readonly instance: string;
  readonly url: string;
  /** How long a session is remembered at most, and how long after it was last saved. */
  readonly keepMs: () => { readonly absoluteMs: number; readonly unusedMs: number };
}): SessionStore {
  const { hot, clock, instance, url, keepMs } = options;
  const leftMs = ({ createdAtMs }: SessionRecord) => {
    const { absoluteMs, unusedMs } = keepMs();
    return Math.max(1000, Math.ceil(Math.min(unusedMs, createdAtMs + absoluteMs - clock.now())));
  };
  const recordKey = (tag: string) => sessionKey(tag, 'record');
  const leaseKey = (tag: string) => sessionKey(tag, 'lease');
  const beatKey = (of: string) => `mcp:replica:${of}`;

  const write = (tag: string, text: string, lease: SessionLease, ttlMs: number) =>
    hot.appendEvent(recordKey(tag), text, { maxEvents: 1, ttlMs, lease });

  const save = async (tag: string, record: SessionRecord, lease: SessionLease): Promise<boolean> => {
    const owner: SessionOwner = { instance, url, fence: lease.fence };
    const ttlMs = leftMs(record);
    if ((await write(tag, JSON.stringify({ record, owner }), lease, ttlMs)) === 'fenced') return false;
    return hot.renewLease(lease.key, instance, lease.fence, ttlMs);
  };

  /** The lease is short until the record stands, then as long as the session may be unused. */
  const claim = async (tag: string, record: SessionRecord): Promise<SessionLease | undefined> => {
    const key = leaseKey(tag);
    const taken = await hot.acquireLease(key, instance, claimMs);
    if (!taken) return undefined;
    const lease = { key, fence: taken.fence };
    return (await save(tag, record, lease)) ? lease : undefined;
  };

  return {
    async read(tag) {
      const { events } = await hot.readEvents(recordKey(tag), 0, 1);
      const text = events[0]?.event;
      return text === undefined || text === tombstone ? undefined : (JSON.parse(text) as StoredSession); // written by `save`
    },
    async create(tag, record) {
      const lease = await claim(tag, record);
      if (lease) return lease;
      throw new GatewayError('overloaded', 'The session could not be opened. Try again.', {
        reason: 'session_not_opened',
      });
    },
    async takeOver(tag, { record, owner }) {
      await hot.releaseLease(leaseKey(tag), owner.instance, owner.fence);
      return claim(tag, record);
    },
    save,
    async end(tag, lease) {
      await write(tag, tombstone, lease, tombstoneMs);
      await hot.releaseLease(lease.key, instance, lease.fence);
    },
    async release(lease) {
      await hot.releaseLease(lease.key, instance, lease.fence);
    },
    isAlive: async of => (await hot.get(beatKey(of))) !== undefined,
    beat: ttlMs => hot.set(beatKey(instance), url, { ttlMs }),
  };
}
