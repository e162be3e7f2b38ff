import type { Clock } from '../clock.ts';
import { takeRate } from './limit.ts';
import type { LimitChange, LimitGroup, LimitStore } from './limit-store.ts';

/** Calls after which what has ended is thrown away. */
const sweepEvery = 1000;

/** The limits of one process: the same steps as the script in Redis takes. */
export function createMemoryLimitStore(clock: Clock): LimitStore {
  const tats = new Map<string, number>();
  const places = new Map<string, Map<string, number>>();
  const replicas = new Map<string, number>();
  let calls = 0;

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
  function taken(key: string, nowMs: number): Map<string, number> {
    const held = places.get(key) ?? new Map<string, number>();
    for (const [id, untilMs] of held) if (untilMs <= nowMs) held.delete(id);
    return held;
  }

  function sweep(nowUs: number): void {
    if (++calls % sweepEvery !== 0) return;
    for (const [key, tatUs] of tats) if (tatUs <= nowUs) tats.delete(key);
    for (const key of places.keys()) if (taken(key, nowUs / 1000).size === 0) places.delete(key);
  }

  function group(nowMs: number): LimitGroup {
    for (const [id, untilMs] of replicas) if (untilMs <= nowMs) replicas.delete(id);
    return { epoch: '', replicas: replicas.size };
  }

  return {
    async admit({ checks, lease, changes }) {
      const nowMs = clock.now();
      const nowUs = nowMs * 1000;
      sweep(nowUs);
      apply(changes, nowUs);
      let refused: number | undefined;
      let longestUs = 0;
      const states: number[] = [];
      const next: number[] = [];
      for (const [index, check] of checks.entries()) {
        const result =
          check.type === 'rate'
            ? takeRate(tats.get(check.key), check, nowUs)
            : enter(taken(check.key, nowMs), check.limit, lease.id);
        states.push(
          check.type === 'rate' ? Math.max(tats.get(check.key) ?? 0, nowUs) : taken(check.key, nowMs).size,
        );
        next.push(result.tatUs);
        if (result.waitUs > longestUs) {
          refused = index;
          longestUs = result.waitUs;
        }
      }
      if (refused !== undefined)
        return { type: 'refused', check: refused, waitUs: longestUs, states, group: group(nowMs) };
      for (const [index, check] of checks.entries()) {
        if (check.type === 'rate') tats.set(check.key, next[index] ?? 0);
        else places.set(check.key, taken(check.key, nowMs).set(lease.id, lease.untilMs));
      }
      return { type: 'admitted', states: next, group: group(nowMs) };
    },
    async apply(changes) {
      apply(changes, clock.now() * 1000);
    },
    async renew({ replica, untilMs, places: renewed }) {
      const nowMs = clock.now();
      for (const { key, leaseId } of renewed) {
        const held = taken(key, nowMs);
        if (held.has(leaseId)) held.set(leaseId, untilMs);
      }
      replicas.set(replica, untilMs);
      return { replicas: group(nowMs).replicas };
    },
    async close() {
      tats.clear();
      places.clear();
    },
  };
}

/** How long a full house lets a request wait before it asks again. */
export const fullHouseWaitUs = 1_000_000;

function enter(
  held: ReadonlyMap<string, number>,
  limit: number,
  id: string,
): { tatUs: number; waitUs: number } {
  const count = held.has(id) ? held.size : held.size + 1;
  return { tatUs: count, waitUs: count > limit ? fullHouseWaitUs : 0 };
}
