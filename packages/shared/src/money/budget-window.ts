/** Over which time a budget holds. Calendar windows begin at midnight of their time zone (IANA name), weeks on Monday. */
export type BudgetWindow =
  | { readonly type: 'day' | 'week' | 'month'; readonly timeZone: string }
  | { readonly type: 'rolling'; readonly ms: number }
  | { readonly type: 'total' };

/** A window as it is at one moment. Times are milliseconds since the epoch. */
export interface WindowView {
  /** The period in which money spent now is counted. */
  readonly period: number;
  /** Periods from this one on count against the limit. */
  readonly countsFrom: number;
  /** When `period` gives way to the next. */
  readonly endsAtMs: number;
}

/** A rolling window moves in steps of this part of its length; what is older than the window by less than a step counts still. */
const rollingSteps = 60;
const farFuture = Number.MAX_SAFE_INTEGER;

export function viewAt(window: BudgetWindow, nowMs: number): WindowView {
  switch (window.type) {
    case 'total':
      return { period: 0, countsFrom: 0, endsAtMs: farFuture };
    case 'rolling': {
      const step = Math.max(1, Math.ceil(window.ms / rollingSteps));
      const period = Math.floor(nowMs / step) * step;
      return { period, countsFrom: Math.floor((nowMs - window.ms) / step) * step, endsAtMs: period + step };
    }
    case 'day':
    case 'week':
    case 'month': {
      const [start, end] = calendarBounds(window.type, window.timeZone, nowMs);
      return { period: start, countsFrom: start, endsAtMs: end };
    }
  }
}

/** Whether what is granted counts in the period in which it was drawn (calendar), or for as long as it is held (rolling). */
export function countsByPeriod(window: BudgetWindow): boolean {
  return window.type !== 'rolling';
}

export function isTimeZone(name: string): boolean {
  try {
    return formatterOf(name) !== undefined;
  } catch {
    return false; // the only way a formatter fails
  }
}

interface LocalDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

function calendarBounds(unit: 'day' | 'week' | 'month', timeZone: string, nowMs: number): [number, number] {
  const { year, month, day } = localDate(timeZone, nowMs);
  switch (unit) {
    case 'day':
      return [midnight(timeZone, year, month, day), midnight(timeZone, year, month, day + 1)];
    case 'week': {
      const sinceMonday = (new Date(Date.UTC(year, month, day)).getUTCDay() + 6) % 7;
      const monday = day - sinceMonday;
      return [midnight(timeZone, year, month, monday), midnight(timeZone, year, month, monday + 7)];
    }
    case 'month':
      return [midnight(timeZone, year, month, 1), midnight(timeZone, year, month + 1, 1)];
  }
}

/** Each takes some 30 KB, and zones have more names than anybody counts: `europe/berlin`, `+02:01`. */
const maxFormatters = 600;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const [oldest] = formatters.keys();
  if (formatters.size >= maxFormatters && oldest !== undefined) formatters.delete(oldest);
  formatters.set(timeZone, made);
  return made;
}

function localParts(timeZone: string, atMs: number): Map<string, number> {
  const parts = formatterOf(timeZone).formatToParts(atMs);
  return new Map(parts.map(({ type, value }) => [type, Number(value)]));
}

function localDate(timeZone: string, atMs: number): LocalDate {
  const parts = localParts(timeZone, atMs);
  return { year: parts.get('year') ?? 0, month: (parts.get('month') ?? 1) - 1, day: parts.get('day') ?? 1 };
}

/** How far the wall clocks of the zone are ahead of UTC at that moment. */
function offsetMs(timeZone: string, atMs: number): number {
  const parts = localParts(timeZone, atMs);
  const part = (name: string) => parts.get(name) ?? 0;
  const asUtc = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  );
  return asUtc - Math.floor(atMs / 1000) * 1000;
}

/** The first moment of a local day. Where clocks skip midnight, that is the moment of the skip. Days and months may overflow. */
function midnight(timeZone: string, year: number, month: number, day: number): number {
  const wanted = Date.UTC(year, month, day);
  const candidates = [offsetMs(timeZone, wanted - 86_400_000), offsetMs(timeZone, wanted + 86_400_000)].map(
    offset => wanted - offset,
  );
  const exact = candidates.filter(each => each + offsetMs(timeZone, each) === wanted);
  return exact.length > 0 ? Math.min(...exact) : Math.max(...candidates);
}
