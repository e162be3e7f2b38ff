import { Cron } from 'croner';
import type { NextTime } from '../domain/schedule.ts';

/** Due times of cron expressions, in their time zone, summer time included; and of intervals. */
export const nextTime: NextTime = (recurrence, afterMs) => {
  if (recurrence.type === 'every') {
    const { everyMs, fromMs } = recurrence;
    const passed = Math.floor((afterMs - fromMs) / everyMs) + 1;
    return fromMs + Math.max(0, passed) * everyMs;
  }
  if (recurrence.type === 'after') return afterMs;
  if (recurrence.type === 'event') return undefined;
  return cronOf(recurrence.expression, recurrence.timeZone).nextRun(new Date(afterMs))?.getTime();
};

/** What is wrong with a cron expression or its time zone, or undefined. */
export function cronProblem(expression: string, timeZone: string): string | undefined {
  try {
    const next = cronOf(expression, timeZone).nextRun();
    return next === null ? 'The expression never comes due.' : undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return message.replace(/^Cron(Pattern|Date): /, '').split(' Original error')[0];
  }
}

const maxKept = 1000;
const kept = new Map<string, Cron>();

function cronOf(expression: string, timezone: string): Cron {
  const name = `${timezone} ${expression}`;
  const known = kept.get(name);
  if (known !== undefined) return known;
  const made = new Cron(expression, { timezone, paused: true });
  const [oldest] = kept.keys();
  if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
  kept.set(name, made);
  return made;
}
