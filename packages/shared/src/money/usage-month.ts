import { viewAt } from './budget-window.ts';

/** How a calendar month is asked for: `2026-10`, or seen from now. None is before the epoch. */
export const monthPattern = /^(this|last|(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2]))$/;

/** From the first midnight of a month up to, not including, that of the next, in a time zone (IANA name). */
export function monthBounds(
  month: string,
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): { readonly fromMs: number; readonly toMs: number } {
  const at = (atMs: number) => {
    const { period, endsAtMs } = viewAt({ type: 'month', timeZone }, atMs);
    return { fromMs: period, toMs: endsAtMs };
  };
  if (month === 'this') return at(nowMs);
  if (month === 'last') return at(at(nowMs).fromMs - 1);
  return at(Date.parse(`${month}-15T12:00:00Z`)); // in that month everywhere
}
