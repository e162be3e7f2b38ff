/**
 * A queue holds runs of a tenant that share a concurrency key. At most so many of them are in progress: from the moment that a run is let
 * in until its end, whatever it waits for in between and whichever worker holds it. What is not let in waits, and is asked and cancelled
 * as any other run.
 */
export interface QueuePlace {
  readonly name: string;
  /** Runs of the queue in progress, this one included. */
  readonly limit: number;
  /** It belongs to a run of the same queue that waits for it, and is in progress with that one. */
  readonly isShared?: true;
}

export interface QueueSummary {
  readonly name: string;
  /** Set for the queue; without it every run brings its own. */
  readonly limit: number | undefined;
  /** Nothing is let in. */
  readonly isPaused: boolean;
  readonly running: number;
  readonly waiting: number;
  /** When the run came that is let in next. */
  readonly nextCameAtMs: number | undefined;
}

export interface QueueChange {
  /** `null` takes the limit of the queue away. */
  readonly limit?: number | null;
  readonly isPaused?: boolean;
}

export const defaultPriority = 5;
export const maxPriority = 9;
const priorityStepMs = 60_000;

/** The lower goes first. A step of priority is worth a minute of waiting, so that nothing waits for ever behind what is more urgent. */
export function rankOf({ atMs, priority }: { readonly atMs: number; readonly priority: number }): number {
  return atMs - priority * priorityStepMs;
}

/** When a run that still waits has to be looked at: its time is over, or its right to act. */
export function queuedUntil({
  deadlineAtMs,
  expiresAtMs = Number.POSITIVE_INFINITY,
}: {
  readonly deadlineAtMs: number;
  readonly expiresAtMs?: number;
}): number {
  return Math.min(deadlineAtMs, expiresAtMs);
}

export interface DueRun {
  readonly id: string;
  readonly tenant: string;
  readonly priority: number;
  readonly wakeAtMs: number;
}

/**
 * Which of these runs a worker takes when it cannot take all: the tenant goes first of which it works on the fewest; of a tenant's runs the
 * one of the lowest rank.
 */
export function chooseFairly<Run extends DueRun>(
  due: readonly Run[],
  { active, limit }: { active: Readonly<Record<string, number>>; limit: number },
): Run[] {
  const turns = new Map<string, number>();
  return due
    .map(run => ({ run, rank: rankOf({ atMs: run.wakeAtMs, priority: run.priority }) }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ run, rank }) => {
      const turn = turns.get(run.tenant) ?? active[run.tenant] ?? 0;
      turns.set(run.tenant, turn + 1);
      return { run, rank, turn };
    })
    .sort((one, other) => one.turn - other.turn || one.rank - other.rank)
    .slice(0, limit)
    .map(({ run }) => run);
}
