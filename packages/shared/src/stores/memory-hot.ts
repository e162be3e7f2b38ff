import type { Clock } from '../clock.ts';
import { fenceTtlMs, type Hot, type RingEvent } from './hot.ts';

interface Entry<T> {
  value: T;
  expiresAtMs: number;
}

interface Lease {
  owner: string;
  fence: number;
}

interface Ring {
  lastSeq: number;
  events: RingEvent[];
}

const sweepAfterOperations = 1000;

/** The hot port inside one process: the same answers as Redis gives, without the network. */
export function createMemoryHot(clock: Clock): Hot {
  const values = new Map<string, Entry<string>>();
  const leases = new Map<string, Entry<Lease>>();
  const fences = new Map<string, Entry<number>>();
  const rings = new Map<string, Entry<Ring>>();
  const listeners = new Map<string, Set<(message: string) => void>>();
  let operations = 0;

  /** Expired entries are removed in passing, so that no timer is needed and nothing grows. */
  function sweep(): void {
    if (++operations % sweepAfterOperations !== 0) return;
    const now = clock.now();
    for (const map of [values, leases, fences, rings]) {
      for (const [key, entry] of map) if (entry.expiresAtMs <= now) map.delete(key);
    }
  }

  function live<T>(map: Map<string, Entry<T>>, key: string): T | undefined {
    sweep();
    const entry = map.get(key);
    return entry !== undefined && entry.expiresAtMs > clock.now() ? entry.value : undefined;
  }

  const holds = (key: string, owner: string, fence: number): Lease | undefined => {
    const lease = live(leases, key);
    return lease?.owner === owner && lease.fence === fence ? lease : undefined;
  };

  return {
    get: async key => live(values, key),
    async set(key, value, { ttlMs }) {
      sweep();
      values.set(key, { value, expiresAtMs: clock.now() + ttlMs });
    },
    async delete(key) {
      values.delete(key);
    },

    async acquireLease(key, owner, ttlMs) {
      const held = live(leases, key);
      if (held !== undefined && held.owner !== owner) return undefined;
      const fence = held?.fence ?? (live(fences, key) ?? 0) + 1;
      fences.set(key, { value: fence, expiresAtMs: clock.now() + fenceTtlMs });
      leases.set(key, { value: { owner, fence }, expiresAtMs: clock.now() + ttlMs });
      return { fence };
    },
    async renewLease(key, owner, fence, ttlMs) {
      const lease = holds(key, owner, fence);
      if (lease === undefined) return false;
      leases.set(key, { value: lease, expiresAtMs: clock.now() + ttlMs });
      return true;
    },
    async releaseLease(key, owner, fence) {
      if (holds(key, owner, fence) === undefined) return false;
      return leases.delete(key);
    },

    async appendEvent(ring, event, { maxEvents, ttlMs, lease }) {
      if (lease !== undefined && live(leases, lease.key)?.fence !== lease.fence) return 'fenced';
      const current = live(rings, ring) ?? { lastSeq: 0, events: [] };
      current.lastSeq++;
      current.events.push({ seq: current.lastSeq, event });
      if (current.events.length > maxEvents) current.events.splice(0, current.events.length - maxEvents);
      rings.set(ring, { value: current, expiresAtMs: clock.now() + ttlMs });
      return current.lastSeq;
    },
    async readEvents(ring, afterSeq, limit) {
      const events = live(rings, ring)?.events ?? [];
      return {
        events: events.filter(each => each.seq > afterSeq).slice(0, limit),
        oldestSeq: events[0]?.seq ?? 0,
      };
    },

    async publish(channel, message) {
      for (const listener of [...(listeners.get(channel) ?? [])]) queueMicrotask(() => listener(message));
    },
    async subscribe(channel, listener) {
      const own = (message: string) => listener(message); // the same function may listen twice
      const all = listeners.get(channel) ?? new Set();
      listeners.set(channel, all.add(own));
      return async () => {
        all.delete(own);
        if (all.size === 0) listeners.delete(channel);
      };
    },
    ping: async () => {},
    async close() {
      for (const map of [values, leases, fences, rings, listeners]) map.clear();
    },
  };
}
