import { expect, test } from 'vitest';
import { monthBounds, monthPattern } from './usage-month.ts';

const nowMs = Date.parse('2026-11-01T00:30:00Z'); // in New York it is still October

const bounds = (month: string, timeZone: string) => {
  const { fromMs, toMs } = monthBounds(month, { timeZone, nowMs });
  return [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
};

test.each([
  ['this', 'UTC', '2026-11-01T00:00:00.000Z', '2026-12-01T00:00:00.000Z'],
  ['last', 'UTC', '2026-10-01T00:00:00.000Z', '2026-11-01T00:00:00.000Z'],
  ['last', 'America/New_York', '2026-09-01T04:00:00.000Z', '2026-10-01T04:00:00.000Z'],
  // Clocks change on 25 October: the month is an hour longer than its days.
  ['last', 'Europe/Berlin', '2026-09-30T22:00:00.000Z', '2026-10-31T23:00:00.000Z'],
  ['2026-12', 'UTC', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
  ['2024-02', 'Pacific/Kiritimati', '2024-01-31T10:00:00.000Z', '2024-02-29T10:00:00.000Z'],
])('%s in %s is a calendar month of that place', (month, timeZone, from, to) => {
  expect(bounds(month, timeZone)).toEqual([from, to]);
});

test.each(['2026-13', '2026-00', 'next', '2026-1', '', '0000-01', '9999-12'])('%j is no month', text => {
  expect(monthPattern.test(text)).toBe(false);
});
