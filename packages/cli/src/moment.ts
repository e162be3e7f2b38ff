import { moment } from '@strata/shared/admin/resources/list-page.ts';
import { InvalidArgumentError } from 'commander';

/** A date (its midnight in UTC) or a moment of RFC 3339, as milliseconds since the epoch. What the calendar does not have is none. */
export function parseMoment(text: string): number {
  const written = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text;
  if (moment.safeParse(written).success) return Date.parse(written);
  throw new InvalidArgumentError('Expected a date such as 2026-11-01 or 2026-11-01T12:00:00Z.');
}

/** @throws InvalidArgumentError when nothing can lie between the two. */
export function requireOrder(from: number | undefined, to: number | undefined): void {
  if (from !== undefined && to !== undefined && from >= to)
    throw new InvalidArgumentError('`--from` must be before `--to`.');
}
