import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import type { CollectedEvents } from './collect-events.ts';

/** When a schedule is due. */
export type Recurrence =
  /** A cron expression of five or six fields in a time zone. */
  | { readonly type: 'cron'; readonly expression: string; readonly timeZone: string }
  /** Every so many milliseconds, counted from `fromMs`. */
  | { readonly type: 'every'; readonly everyMs: number; readonly fromMs: number }
  /** So many milliseconds after the run before has ended. */
  | { readonly type: 'after'; readonly afterMs: number }
  /** With every event that one of the filters lets through. */
  | ({ readonly type: 'event' } & EventTrigger);

/** Which events start a run. */
export interface EventTrigger {
  /** As it was written: `one`, `any` or `all` of the specification's event filters. */
  readonly strategy: unknown;
  /** Globs over the types that the filters can let through. */
  readonly types: readonly string[];
  /** Of each filter, an expression over the event. */
  readonly conditions: readonly string[];
  /** Of `all`: what the events that begin a run together have in common, for each filter. Without it each event begins one. */
  readonly correlations?: readonly (readonly EventCorrelation[])[];
}

/** An expression over the event, and what its value must be; without that, what it is in the others. */
export interface EventCorrelation {
  readonly key: string;
  readonly from: string;
  readonly expect: string | undefined;
}

/** What happens when a run is due and the one before has not ended. */
export type Overlap = 'skip' | 'queue' | 'cancel' | 'allow';

/** With events, each of which is meant, another than by the clock. */
export const defaultOverlap = ({ type }: Recurrence): Overlap => (type === 'event' ? 'allow' : 'skip');

/** What happens with the times that passed while nobody looked: all of them run, the last of them, or none. */
export type CatchUp = 'all' | 'last' | 'none';

export interface Schedule {
  readonly tenant: string;
  /** Unique within the tenant. */
  readonly name: string;
  readonly workflow: { readonly namespace: string; readonly name: string; readonly version: string };
  readonly input: unknown;
  readonly recurrence: Recurrence;
  readonly overlap: Overlap;
  readonly catchUp: CatchUp;
  /** Who made it: its runs act for them, and stop when their key does. */
  readonly caller: Caller;
  readonly isPaused: boolean;
  readonly nextAtMs: number;
  readonly lastRunId: string | undefined;
  readonly collected: CollectedEvents;
  readonly createdAtMs: number;
}

/** Names one change of a schedule: rises with each. */
export interface KeptSchedule extends Schedule {
  readonly revision: number;
}

export interface Schedules {
  /** Creates it, or replaces the one of that name. As with every change that somebody asked for, `entry` is entered in the audit with it. */
  put(schedule: Schedule, entry: AuditEvent): Promise<KeptSchedule>;
  get(tenant: string, name: string): Promise<KeptSchedule | undefined>;
  count(tenant: string): Promise<number>;
  list(page: {
    readonly tenant: string;
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<KeptSchedule[]>;
  delete(tenant: string, name: string, entry: AuditEvent): Promise<boolean>;
  due(nowMs: number, limit: number): Promise<KeptSchedule[]>;
  /** Changes it unless somebody else has since; false then. */
  change(
    schedule: KeptSchedule,
    change: Partial<Pick<Schedule, 'isPaused' | 'nextAtMs' | 'lastRunId' | 'collected'>>,
    entry?: AuditEvent,
  ): Promise<boolean>;
}

/** The next time after one, from the recurrence alone: which process asks, and when, makes no difference. Of `after` the earliest. */
export type NextTime = (recurrence: Recurrence, afterMs: number) => number | undefined;

/** When a schedule runs next, seen now, and which of the times that have passed still run. */
export function duePlan(
  { recurrence, catchUp, nextAtMs }: Pick<Schedule, 'recurrence' | 'catchUp' | 'nextAtMs'>,
  nowMs: number,
  nextTime: NextTime,
): { readonly runAtMs: number | undefined; readonly nextAtMs: number } {
  let dueMs = nextAtMs;
  let followingMs = nextTime(recurrence, dueMs) ?? neverMs;
  if (catchUp === 'all' || followingMs > nowMs) return { runAtMs: dueMs, nextAtMs: followingMs };
  for (let skipped = 0; followingMs <= nowMs && skipped < maxSkipped; skipped++) {
    dueMs = followingMs;
    followingMs = nextTime(recurrence, dueMs) ?? neverMs;
  }
  return { runAtMs: catchUp === 'last' ? dueMs : undefined, nextAtMs: followingMs };
}

/** Every due time of a span, oldest first. */
export function timesBetween(
  recurrence: Recurrence,
  { fromMs, untilMs, limit }: { fromMs: number; untilMs: number; limit: number },
  nextTime: NextTime,
): number[] {
  const times: number[] = [];
  for (
    let atMs = nextTime(recurrence, fromMs - 1);
    atMs !== undefined && atMs <= untilMs;
    atMs = nextTime(recurrence, atMs)
  ) {
    if (times.length >= limit) break;
    times.push(atMs);
  }
  return times;
}

/** Larger than any time that a run waits for, and still an integer of the stores. */
export const neverMs = 8_640_000_000_000_000;
/** A day of seconds: what a schedule may have missed is gone through in one piece. */
const maxSkipped = 100_000;
