import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Duration, Template } from './workflow.ts';

const units = {
  days: 86_400_000,
  hours: 3_600_000,
  minutes: 60_000,
  seconds: 1000,
  milliseconds: 1,
} as const;
type Unit = keyof typeof units;

const iso8601 =
  /^P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const withCalendar = /^P(?=[^T]*[YM])[\d.YMWDTHS]+$/;

const maxMs = 366 * units.days;

/** Milliseconds of an ISO 8601 duration (`PT1M30S`; no months or years, which have no length) or of `{ minutes: 5 }`. */
export function parseDuration(value: unknown): { readonly ms: number } | { readonly problem: string } {
  if (typeof value === 'string' && withCalendar.test(value))
    return { problem: 'Months and years have no length of their own; write days.' };
  const ms = typeof value === 'string' ? fromText(value) : fromObject(value);
  if (ms === undefined) {
    return {
      problem: 'Expected a duration: `PT30S`, or an object with days, hours, minutes, seconds, milliseconds.',
    };
  }
  if (ms > maxMs) return { problem: 'A duration may not be longer than 366 days.' };
  return { ms: Math.round(ms) };
}

function fromText(text: string): number | undefined {
  const match = iso8601.exec(text);
  if (match === null || !/\d/.test(text)) return undefined;
  const [, weeks, days, hours, minutes, seconds] = match.map(part => Number(part ?? 0));
  return (
    (weeks ?? 0) * 7 * units.days +
    (days ?? 0) * units.days +
    (hours ?? 0) * units.hours +
    (minutes ?? 0) * units.minutes +
    (seconds ?? 0) * units.seconds
  );
}

function fromObject(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  let total = 0;
  const entries = Object.entries(value);
  for (const [unit, amount] of entries) {
    if (!Object.hasOwn(units, unit) || typeof amount !== 'number' || !(amount >= 0)) return undefined;
    total += amount * units[unit as Unit]; // the line above says that it is one
  }
  return entries.length === 0 ? undefined : total;
}

/** @throws GatewayError invalid_request (`expression_failed`) for an expression that gives no duration. */
export async function evaluateDuration(
  duration: Duration,
  evaluate: (template: Template) => Promise<unknown>,
): Promise<number> {
  if (typeof duration === 'number') return duration;
  const parsed = parseDuration(await evaluate(duration));
  if ('ms' in parsed) return parsed.ms;
  throw new GatewayError('invalid_request', `The expression gave no duration. ${parsed.problem}`, {
    reason: 'expression_failed',
  });
}
