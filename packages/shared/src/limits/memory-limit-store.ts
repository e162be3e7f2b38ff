import type { Clock } from '../clock.ts';
import { type LimitCheck, takeRate } from './limit.ts';
import type { LimitChange, LimitGroup, LimitStore } from './limit-store.ts';

/** Calls after which what has ended is thrown away. */
const sweepEvery = 1000;

/** The limits of one process: the same steps as the script in Redis takes. */
export function createMemoryLimitStore(clock: Pick<Clock, 'monotonic'>): LimitStore {
  const tats = new Map<string, number>();
  /** By key and lease, until when. */
  const places = new Map<string, Map<string, number>>();
  const replicas = new Map<string, number>();
  let calls = 0;
  const readTimeUs = () => Math.floor(clock.monotonic() * 1000);

  function apply(changes: readonly LimitChange[], nowUs: number): void {
    for (const change of changes) {
      if (change.type === 'leave') {
        places.get(change.key)?.delete(change.leaseId);
        continue;
      }
      const tatUs = Math.max(tats.get(change.key) ?? 0, nowUs) + change.deltaUs;
      if (tatUs > nowUs) tats.set(change.key, tatUs);
      else tats.delete(change.key);
    }
  }

  /** Those whose lease has not ended. */
  function taken(key: string, nowUs: number): Map<string, number> {
    const held = places.get(key) ?? new Map<string, number>();
    for (const [id, untilUs] of held) if (untilUs <= nowUs) held.delete(id);
    return held;
  }

  function sweep(nowUs: number): void {
    if (++calls % sweepEvery !== 0) return;
    for (const [key, tatUs] of tats) if (tatUs <= nowUs) tats.delete(key);
    for (const key of places.keys()) if (taken(key, nowUs).size === 0) places.delete(key);
  }

  function group(nowUs: number): LimitGroup {
    for (const [id, untilUs] of replicas) if (untilUs <= nowUs) replicas.delete(id);
    return { epoch: '', replicas: replicas.size };
  }

  function step(check: LimitCheck, leaseId: string, nowUs: number): Step {
    if (check.type === 'rate') {
      const usedUs = Math.max(0, (tats.get(check.key) ?? 0) - nowUs);
      return { state: usedUs, ...takeRate(usedUs, check) };
    }
    const held = taken(check.key, nowUs);
    const next = held.has(leaseId) ? held.size : held.size + 1;
    return { state: held.size, next, waitUs: next > check.limit ? fullHouseWaitUs : 0 };
  }

  return {
    async admit({ checks, lease, changes }) {
      const nowUs = readTimeUs();
      sweep(nowUs);
      apply(changes, nowUs);
      const steps = checks.map(check => step(check, lease.id, nowUs));
      const waitUs = Math.max(0, ...steps.map(each => each.waitUs));
      if (waitUs > 0) {
        const check = steps.findIndex(each => each.waitUs === waitUs);
        const states = steps.map(each => each.state);
        return { type: 'refused', check, waitUs, states, group: group(nowUs) };
      }
      const states = steps.map(each => each.next);
      for (const [index, { type, key }] of checks.entries()) {
        if (type === 'rate') tats.set(key, nowUs + (states[index] ?? 0));
        else places.set(key, taken(key, nowUs).set(lease.id, nowUs + lease.ttlMs * 1000));
      }
      return { type: 'admitted', states, group: group(nowUs) };
    },
    async apply(changes) {
      apply(changes, readTimeUs());
    },
    async renew({ replica, ttlMs, places: renewed }) {
      const nowUs = readTimeUs();
      const untilUs = nowUs + ttlMs * 1000;
      for (const { key, leaseId } of renewed) {
        const held = taken(key, nowUs);
        if (held.has(leaseId)) held.set(leaseId, untilUs);
      }
      replicas.set(replica, untilUs);
      return { replicas: group(nowUs).replicas };
    },
    async close() {
      tats.clear();
      places.clear();
    },
  };
}

/** How long a full house lets a request wait before it asks again. */
const fullHouseWaitUs = 1_000_000;

/** One check: how it stands, how it would stand after the request, and how long that one would have to wait. */
interface Step {
  readonly state: number;
  readonly next: number;
  readonly waitUs: number;
}
