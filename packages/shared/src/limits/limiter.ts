import type { Clock, Scheduled } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { newId } from '../ids.ts';
import { type Subject, subjectFits } from '../money/subject.ts';
import type { Logger } from '../telemetry/logger.ts';
import { type Amounts, incrementOf, type Limit, type LimitCheck } from './limit.ts';
import { limitExceeded, rateLimitHeaders } from './limit-answer.ts';
import type { Admission, LimitChange, LimitGroup, LimitStore } from './limit-store.ts';
import type { LimitsInForce } from './limits-in-force.ts';
import { createMemoryLimitStore } from './memory-limit-store.ts';

/** A request that was let through. */
export interface Pass {
  /** `RateLimit` and `RateLimit-Policy` for the answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** It has ended. What it used in place of what was taken for it is corrected. Only the first call does anything. */
  finish(used?: Amounts): void;
}

export interface Limiter {
  /**
   * One step over all limits of the subjects: all let the request through, or it is refused and counts nowhere.
   *
   * Where no limit holds the pass is there at once.
   *
   * @throws LimitExceeded rate_limited (`rate_limit_exceeded`, `concurrency_exceeded`).
   */
  admit(request: {
    readonly tenant: string;
    readonly subjects: readonly Subject[];
    /** Asked only where a limit holds. */
    readonly amounts: () => Amounts;
    /** Limits beside those in force, such as a server's own. */
    readonly also?: readonly Limit[];
  }): Promise<Pass> | Pass;
  /** Whether no limit of the configuration or the store holds for anybody. */
  readonly isFree: boolean;
  /** Whether Redis is away and this replica counts by itself. */
  readonly isAlone: boolean;
  close(): Promise<void>;
}

/** How long a place counts as taken without word of its holder. */
const leaseMs = 30_000;
const beatMs = 10_000;
/** How long the end of a request may wait to travel with the next one. */
const lingerMs = 100;
const maxChangesAtOnce = 100;

interface Taken {
  readonly limit: Limit;
  readonly check: LimitCheck;
  /** What the increment was made of. */
  readonly amount: number;
}

export function createLimiter(options: {
  readonly limits: LimitsInForce;
  /** What replicas share; undefined when there is this process alone. */
  readonly shared: LimitStore | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}): Limiter {
  const { limits: inForce, shared, clock, log } = options;
  const own = createMemoryLimitStore(clock);
  const replica = newId('replica', clock.now());
  const places = new Map<string, { readonly key: string; readonly leaseId: string }>();
  let changes: LimitChange[] = [];
  let replicas = 1;
  let epoch: string | undefined;
  /** Monotonic: since when Redis may know less than what was let through. */
  let doubtfulSinceMs = Number.NEGATIVE_INFINITY;
  let isAlone = false;
  let isClosed = false;

  const beat = async () => {
    if (shared === undefined) return;
    await shared.renew({
      replica,
      ttlMs: leaseMs,
      places: [...places.values()],
    });
  };
  const keepBeating = () => {
    if (shared === undefined) return;
    void beat()
      .catch(() => {}) // requests notice by themselves
      .finally(() => {
        if (!isClosed) timer = clock.schedule(beatMs, keepBeating);
      });
  };
  let timer: Scheduled | undefined;
  keepBeating();
  let lingering: { cancel(): void } | undefined;

  function flushSoon(): void {
    lingering ??= clock.schedule(lingerMs, () => {
      lingering = undefined;
      const waiting = changes.splice(0, maxChangesAtOnce);
      if (changes.length > 0) flushSoon();
      void shared?.apply(waiting).catch(() => {}); // places end with their leases
    });
  }

  /** Redis is asked; while it is away, and for a window after it came back empty, this replica's share holds as well. */
  async function decide(
    taken: readonly Taken[],
    leaseId: string,
  ): Promise<Admission & { readonly isShared: boolean }> {
    const lease = { id: leaseId, ttlMs: leaseMs };
    const checks = taken.map(each => each.check);
    if (shared === undefined)
      return { ...(await own.admit({ checks, lease, changes: [] })), isShared: false };
    const travelling = changes.splice(0, maxChangesAtOnce);
    try {
      const answer = await shared.admit({ checks, lease, changes: travelling });
      noteGroup(answer.group);
      const doubted = taken.filter(({ limit }) => clock.monotonic() - doubtfulSinceMs < limit.windowMs);
      if (answer.type === 'refused' || doubted.length === 0) return { ...answer, isShared: true };
      const ownAnswer = await own.admit({
        checks: doubted.map(each => shareOf(each.check)),
        lease,
        changes: [],
      });
      if (ownAnswer.type === 'admitted') return { ...answer, isShared: true };
      changes.push(...undo(taken, leaseId));
      flushSoon();
      const check = taken.indexOf(doubted[ownAnswer.check] ?? fail());
      return { ...ownAnswer, check, states: answer.states, isShared: true };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error; // a mistake in this program, which no fallback may hide
      noteAway(error);
      const answer = await own.admit({ checks: checks.map(shareOf), lease, changes: [] });
      return { ...answer, isShared: false };
    }
  }

  function noteGroup(group: LimitGroup): void {
    const nowMs = clock.monotonic();
    if (epoch !== undefined && epoch !== group.epoch) {
      doubtfulSinceMs = nowMs; // it has forgotten what it had counted, and who is there
      void beat().catch(() => {}); // requests notice by themselves
    }
    epoch = group.epoch;
    const mayBeIncomplete = nowMs - doubtfulSinceMs < leaseMs;
    replicas = Math.max(1, group.replicas, mayBeIncomplete ? replicas : 1);
    if (isAlone) log.info({}, 'limits are shared again');
    isAlone = false;
  }

  function noteAway(error: unknown): void {
    if (!isAlone)
      log.warn({ error, replicas }, 'limits cannot be shared now; this replica keeps to its share');
    isAlone = true;
  }

  /** A part of the limit for each of the replicas that lived last. */
  function shareOf(check: LimitCheck): LimitCheck {
    if (check.type === 'concurrency')
      return { ...check, limit: Math.max(1, Math.floor(check.limit / replicas)) };
    return { ...check, incrementUs: Math.min(check.burstUs, check.incrementUs * replicas) };
  }

  async function enter(taken: readonly Taken[]): Promise<Pass> {
    const leaseId = newId('call', clock.now());
    const answer = await decide(taken, leaseId);
    const limits = taken.map(each => each.limit);
    if (answer.type === 'refused') throw limitExceeded(limits, answer);
    const held = taken
      .filter(({ check }) => check.type === 'concurrency')
      .map(({ check }) => ({ key: check.key, leaseId }));
    for (const place of held) places.set(`${place.key} ${leaseId}`, place);
    let isFinished = false;
    return {
      headers: rateLimitHeaders(limits, answer.states),
      finish(used = {}) {
        if (isFinished) return;
        isFinished = true;
        for (const place of held) places.delete(`${place.key} ${leaseId}`);
        const ending = corrections(taken, used, leaseId);
        if (answer.isShared) {
          changes.push(...ending);
          if (ending.length > 0) flushSoon();
        }
        void own.apply(
          answer.isShared ? ending.filter(isLeaving) : ending.map(each => scaled(each, replicas)),
        );
      },
    };
  }

  return {
    admit({ tenant, subjects, amounts, also = [] }) {
      const found = [...inForce.find(tenant, subjects), ...also];
      const taken = takenOf(found, subjects, amounts);
      return taken.length === 0 ? freePass : enter(taken);
    },
    get isFree() {
      return inForce.isEmpty;
    },
    get isAlone() {
      return isAlone;
    },
    async close() {
      isClosed = true;
      timer?.cancel();
      lingering?.cancel();
      await shared?.apply(changes).catch(() => {}); // what is lost here ends with its lease
      changes = [];
      await shared?.close();
      await own.close();
    },
  };
}

/** Where no limit holds there is nothing to finish. */
export const freePass: Pass = { headers: {}, finish: () => {} };

function takenOf(found: readonly Limit[], subjects: readonly Subject[], amountsOf: () => Amounts): Taken[] {
  if (found.length === 0) return [];
  const amounts = amountsOf();
  return found.flatMap(limit =>
    (limit.isEach
      ? subjects.filter(subject => subjectFits(limit.subject, subject))
      : [limit.subject]
    ).flatMap((subject): Taken[] => {
      // Another window begins anew: what is left of a bucket is counted in parts of it.
      const key = `${limit.id}/${limit.windowMs}/${subject.id}`;
      if (limit.unit === 'concurrency')
        return [{ limit, check: { type: 'concurrency', key, limit: limit.amount }, amount: 1 }];
      const amount = amounts[limit.unit];
      if (amount === undefined) return [];
      const check = {
        type: 'rate',
        key,
        incrementUs: incrementOf(limit, amount),
        burstUs: limit.windowMs * 1000,
      } as const;
      return [{ limit, check, amount }];
    }),
  );
}

function corrections(taken: readonly Taken[], used: Amounts, leaseId: string): LimitChange[] {
  return taken.flatMap(({ limit, check }): LimitChange[] => {
    if (check.type === 'concurrency') return [{ type: 'leave', key: check.key, leaseId }];
    const actual = limit.unit === 'concurrency' ? undefined : used[limit.unit];
    if (actual === undefined) return [];
    const windowUs = limit.windowMs * 1000;
    const deltaUs = Math.ceil((actual * windowUs) / limit.amount) - check.incrementUs;
    return deltaUs === 0 ? [] : [{ type: 'rate', key: check.key, deltaUs, burstUs: check.burstUs }];
  });
}

function isLeaving(change: LimitChange): boolean {
  return change.type === 'leave';
}

/** As its share was counted. */
function scaled(change: LimitChange, replicas: number): LimitChange {
  return change.type === 'leave' ? change : { ...change, deltaUs: change.deltaUs * replicas };
}

function undo(taken: readonly Taken[], leaseId: string): LimitChange[] {
  return taken.map(({ check }) =>
    check.type === 'concurrency'
      ? { type: 'leave', key: check.key, leaseId }
      : { type: 'rate', key: check.key, deltaUs: -check.incrementUs, burstUs: check.burstUs },
  );
}

function fail(): never {
  throw new Error('A limit refused that was not asked');
}
