import type { CallContext, CallResult, Effect } from '../../src/domain/effect.ts';
import type { JournalRecord } from '../../src/domain/run-events.ts';

/** What reached the far end, by the key that names the effect, against what the journal says. */
export class EffectLog {
  readonly times = new Map<string, number>();
  readonly violations: string[] = [];
  readonly #isFinished: (key: string) => boolean;

  constructor(isFinished: (key: string) => boolean) {
    this.#isFinished = isFinished;
  }

  /** Something is about to take effect. One whose result is durable must never be asked for again (AG-1). */
  begin(key: string): void {
    if (this.#isFinished(key)) this.violations.push(`${key} ran again after its result was recorded`);
    this.times.set(key, (this.times.get(key) ?? 0) + 1);
  }
}

export function countedEffect(
  type: string,
  log: EffectLog,
  answer: (request: unknown, context: CallContext) => Promise<CallResult>,
): Effect {
  return {
    type,
    perform(request, context) {
      log.begin(context.idempotencyKey);
      return answer(request, context);
    },
  };
}

/** Keys of calls whose result is in the journal. */
export function finishedKeys(records: readonly JournalRecord[]): Set<string> {
  const keys = new Map<string, string>();
  const finished = new Set<string>();
  for (const { event } of records) {
    if (event.type === 'call-started') keys.set(`${event.path}#${event.visit}:${event.call}`, event.key);
    if (event.type === 'call-completed')
      finished.add(keys.get(`${event.path}#${event.visit}:${event.call}`) ?? 'unknown');
  }
  return finished;
}
