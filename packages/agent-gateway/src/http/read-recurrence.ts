import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parseDuration } from '../domain/duration.ts';
import type { EventTrigger, Recurrence } from '../domain/schedule.ts';
import { cronProblem } from '../dsl/next-time.ts';

/** When a schedule is due, as requests and documents write it. One of the four is there. */
export interface WrittenRecurrence {
  readonly cron?: string | undefined;
  readonly time_zone?: string | undefined;
  readonly every?: unknown;
  readonly after?: unknown;
  readonly on?: unknown;
}

const minEveryMs = 1000;

/** @throws GatewayError invalid_request (`request_invalid`, `definition_invalid` for event filters). */
export async function readRecurrence(
  { cron, time_zone: timeZone = 'UTC', every, after, on }: WrittenRecurrence,
  {
    nowMs,
    pointer,
    compileTrigger,
  }: {
    readonly nowMs: number;
    readonly pointer: string;
    readonly compileTrigger: (strategy: unknown, pointer: string) => Promise<EventTrigger>;
  },
): Promise<Recurrence> {
  if (on !== undefined) return { type: 'event', ...(await compileTrigger(on, `${pointer}/on`)) };
  if (cron !== undefined) {
    const problem = cronProblem(cron, timeZone);
    if (problem === undefined) return { type: 'cron', expression: cron, timeZone };
    throw invalid('cron', problem);
  }
  if (after !== undefined) return { type: 'after', afterMs: durationOf('after', after, 0) };
  return { type: 'every', everyMs: durationOf('every', every, minEveryMs), fromMs: nowMs };
}

/** As `readRecurrence` takes it. */
export function writeRecurrence(recurrence: Recurrence) {
  switch (recurrence.type) {
    case 'cron':
      return { cron: recurrence.expression, time_zone: recurrence.timeZone };
    case 'every':
      return { every: { milliseconds: recurrence.everyMs } };
    case 'after':
      return { after: { milliseconds: recurrence.afterMs } };
    case 'event':
      return { on: recurrence.strategy };
  }
}

function durationOf(name: string, value: unknown, leastMs: number): number {
  const parsed = parseDuration(value);
  if ('problem' in parsed) throw invalid(name, parsed.problem);
  if (parsed.ms < leastMs) throw invalid(name, `An interval is at least ${leastMs} ms.`);
  return parsed.ms;
}

function invalid(name: string, problem: string): GatewayError {
  return new GatewayError('invalid_request', `${name}: ${problem}`, {
    reason: 'request_invalid',
    param: `/${name}`,
  });
}
