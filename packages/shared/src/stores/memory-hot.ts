import type { Clock } from '../clock.ts';
import { ExpiringMap, type MemoryBudget } from './expiring-map.ts';
import type { Hot, RingEvent } from './hot.ts';
import { hotStoreFull } from './hot-errors.ts';
import { fenceTtlMs, requireCount, requireSameTag, requireTtl } from './hot-rules.ts';

interface Lease {
  readonly owner: string;
  readonly fence: number;
}

interface Ring {
  lastSeq: number;
  readonly events: RingEvent[];
  textLength: number;
}

const defaultMaxBytes = 256 * 1024 * 1024;

/**
 * The hot port inside one process: the same answers as Redis gives, without the network. When it is full it forgets the oldest
 * values; leases and rings are never dropped before their time, so new ones are refused instead.
 */
export function createMemoryHot(clock: Clock, options: { readonly maxBytes?: number } = {}): Hot {
  const budget: MemoryBudget = { maxBytes: options.maxBytes ?? defaultMaxBytes, usedBytes: 0 };
  const values = new ExpiringMap<string>(clock, budget);
  const leases = new ExpiringMap<Lease>(clock, budget);
  const fences = new ExpiringMap<number>(clock, budget);
  const rings = new ExpiringMap<Ring>(clock, budget);
  const all = [values, leases, fences, rings];
  const listeners = new Map<string, Set<(message: string) => void>>();

  function makeRoom(bytes: number): void {
    if (budget.usedBytes + bytes <= budget.maxBytes) return;
    for (const map of all) map.removeEnded();
    budget.usedBytes += bytes; // counts as used while values make way for it
    values.evict();
    budget.usedBytes -= bytes;
    if (budget.usedBytes + bytes > budget.maxBytes) throw hotStoreFull();
  }

  const setLease = (key: string, lease: Lease, ttlMs: number) =>
    leases.set(key, lease, { ttlMs, textLength: lease.owner.length });

  const holds = (key: string, owner: string, fence: number): Lease | undefined => {
    const lease = leases.get(key);
    return lease?.fence === fence && lease.owner === owner ? lease : undefined;
  };

  return {
    get: async key => values.get(key),
    async set(key, value, { ttlMs }) {
      requireTtl(ttlMs);
      makeRoom(2 * value.length);
      values.set(key, value, { ttlMs, textLength: value.length });
    },
    async delete(key) {
      values.delete(key);
    },

    async acquireLease(key, owner, ttlMs) {
      requireTtl(ttlMs);
      const held = leases.get(key);
      if (held !== undefined && held.owner !== owner) return undefined;
      makeRoom(2 * owner.length);
      const fence = held?.fence ?? Math.max((fences.get(key) ?? 0) + 1, clock.now());
      fences.set(key, fence, { ttlMs: fenceTtlMs + ttlMs, textLength: 0 });
      setLease(key, { owner, fence }, ttlMs);
      return { fence };
    },
    async renewLease(key, owner, fence, ttlMs) {
      requireTtl(ttlMs);
      const lease = holds(key, owner, fence);
      if (lease === undefined) return false;
      fences.set(key, fence, { ttlMs: fenceTtlMs + ttlMs, textLength: 0 });
      setLease(key, lease, ttlMs);
      return true;
    },
    async releaseLease(key, owner, fence) {
      return holds(key, owner, fence) !== undefined && leases.delete(key);
    },

    async appendEvent(ring, event, { maxEvents, ttlMs, lease }) {
      requireTtl(ttlMs);
      requireCount(maxEvents);
      if (lease !== undefined) {
        requireSameTag(ring, lease.key);
        if (leases.get(lease.key)?.fence !== lease.fence) return 'fenced';
      }
      makeRoom(2 * event.length);
      const current: Ring = rings.get(ring) ?? { lastSeq: 0, events: [], textLength: 0 };
      append(current, event, maxEvents);
      rings.set(ring, current, { ttlMs, textLength: current.textLength });
      return current.lastSeq;
    },
    async readEvents(ring, afterSeq, limit) {
      requireCount(limit);
      const events = rings.get(ring)?.events ?? [];
      const oldestSeq = events[0]?.seq ?? 0;
      const from = Math.max(0, afterSeq + 1 - oldestSeq);
      return { events: events.slice(from, from + limit), oldestSeq };
    },

    async publish(channel, message) {
      const together = listeners.get(channel);
      for (const listener of together ?? []) {
        queueMicrotask(() => together?.has(listener) && listener(message));
      }
    },
    async subscribe(channel, listener) {
      const own = (message: string) => listener(message); // the same function may listen twice
      const together = listeners.get(channel) ?? new Set();
      listeners.set(channel, together.add(own));
      return async () => {
        together.delete(own);
        if (together.size === 0 && listeners.get(channel) === together) listeners.delete(channel);
      };
    },
    ping: async () => {},
    async close() {
      for (const map of all) map.clear();
      listeners.clear();
    },
  };
}

function append(ring: Ring, event: string, maxEvents: number): void {
  ring.lastSeq++;
  ring.events.push({ seq: ring.lastSeq, event });
  ring.textLength += event.length;
  const surplus = ring.events.splice(0, Math.max(0, ring.events.length - maxEvents));
  for (const old of surplus) ring.textLength -= old.event.length;
}
