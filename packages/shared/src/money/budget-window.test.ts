import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { isTimeZone, viewAt } from './budget-window.ts';

test('however many names callers have for time zones, few of them are kept', () => {
  const names = Array.from({ length: 700 }, (_, minutes) => {
    const two = (part: number) => String(part).padStart(2, '0');
    return `+${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  });
  expect(names.every(isTimeZone)).toBe(true);
  const made = vi.spyOn(Intl, 'DateTimeFormat');
  expect(names.at(-1)).toSatisfy(isTimeZone);
  expect(made).not.toHaveBeenCalled();
  expect(names[0]).toSatisfy(isTimeZone);
  expect(made).toHaveBeenCalledOnce();
  made.mockRestore();
});

/** With half hours, with a midnight that is skipped or comes twice, and one that left out a day of December 2011. */
const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'America/St_Johns',
  '+05:30',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Asia/Beirut',
  'America/Havana',
  'Atlantic/Azores',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Antarctica/Troll',
  'Etc/GMT+12',
  'Africa/Casablanca',
  'Asia/Tehran',
];
const formatters = new Map(
  zones.map(timeZone => [timeZone, new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short' })]),
);

/** What a calendar on the wall says: the day, the Monday before it, or the month. */
function onTheWall(type: 'day' | 'week' | 'month', timeZone: string, atMs: number): string {
  const day = formatters.get(timeZone)?.format(atMs) ?? '';
  if (type !== 'week') return type === 'day' ? day : day.slice(0, 7);
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}

test('[$-1] property: a day, week or month begins and ends when a calendar on the wall there says so', () => {
  const moment = fc.integer({ min: Date.UTC(2011, 10, 1), max: Date.UTC(2028, 0, 1) });
  fc.assert(
    fc.property(
      fc.constantFrom('day', 'week', 'month'),
      fc.constantFrom(...zones),
      moment,
      (type, timeZone, atMs) => {
        const { period, countsFrom, endsAtMs } = viewAt({ type, timeZone }, atMs);
        const named = onTheWall(type, timeZone, atMs);
        expect(countsFrom).toBe(period);
        expect(period).toBeLessThanOrEqual(atMs);
        expect(endsAtMs).toBeGreaterThan(atMs);
        expect([period, endsAtMs - 1].map(each => onTheWall(type, timeZone, each))).toEqual([named, named]);
        expect([period - 1, endsAtMs].map(each => onTheWall(type, timeZone, each))).not.toContain(named);
        expect(viewAt({ type, timeZone }, endsAtMs).period).toBe(endsAtMs);
      },
    ),
    { numRuns: 2000 },
  );
});

test('[$-1] property: of a rolling window all that is younger than it counts, and nothing older by more than a step', () => {
  const length = fc.integer({ min: 1, max: 8784 * 3_600_000 });
  fc.assert(
    fc.property(
      length,
      fc.integer({ min: 0, max: 2 ** 42 }),
      fc.integer({ min: 0, max: 2 ** 36 }),
      (ms, nowMs, agoMs) => {
        const step = Math.ceil(ms / 60);
        const spentIn = viewAt({ type: 'rolling', ms }, nowMs - agoMs).period;
        const counts = spentIn >= viewAt({ type: 'rolling', ms }, nowMs).countsFrom;
        if (agoMs <= ms) expect(counts).toBe(true);
        if (agoMs >= ms + 2 * step) expect(counts).toBe(false);
      },
    ),
    { numRuns: 2000 },
  );
});
