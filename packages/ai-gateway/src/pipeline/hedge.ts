import type { Clock } from '@strata/shared/clock.ts';

/** Work under way that can be called off. What it comes to then is of no interest. */
export interface Started<Outcome> {
  readonly done: Promise<Outcome>;
  callOff(): void;
}

export interface HedgeOptions<Outcome> {
  readonly clock: Clock;
  readonly afterMs: number;
  readonly first: Started<Outcome>;
  /** Undefined when there may be none. */
  startSecond(): Started<Outcome> | undefined;
  isAnswer(outcome: Outcome): boolean;
  /** Takes an answer that came too late to be called off. */
  discard(outcome: Outcome): void;
}

/**
 * Starts a second when the first takes long. The first answer of the two is the one (I10*): the other is called off. Resolves
 * with the answer alone, or with what everything that was started came to.
 */
export async function hedge<Outcome>(options: HedgeOptions<Outcome>): Promise<readonly Outcome[]> {
  const { first } = options;
  const early = await withinTime(options);
  if (early !== undefined) return [early.outcome];
  const second = options.startSecond();
  if (second === undefined) return [await first.done];
  return firstAnswer([first, second], options);
}

async function withinTime<Outcome>({
  clock,
  afterMs,
  first,
}: HedgeOptions<Outcome>): Promise<{ readonly outcome: Outcome } | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = clock.schedule(afterMs, () => late.resolve(undefined));
  try {
    return await Promise.race([first.done.then(outcome => ({ outcome })), late.promise]);
  } finally {
    timer.cancel();
  }
}

function firstAnswer<Outcome>(
  started: readonly Started<Outcome>[],
  { isAnswer, discard }: HedgeOptions<Outcome>,
): Promise<readonly Outcome[]> {
  return new Promise((resolve, reject) => {
    const failed: Outcome[] = [];
    let isAnswered = false;
    for (const each of started) {
      each.done.then(outcome => {
        if (!isAnswer(outcome)) {
          failed.push(outcome);
          if (failed.length === started.length) resolve(failed);
          return;
        }
        if (isAnswered) {
          discard(outcome);
          return;
        }
        isAnswered = true;
        for (const other of started) if (other !== each) other.callOff();
        resolve([outcome]);
      }, reject);
    }
  });
}
