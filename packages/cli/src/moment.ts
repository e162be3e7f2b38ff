import { InvalidArgumentError } from 'commander';

/** A date or a moment of RFC 3339, as milliseconds since the epoch. */
export function parseMoment(text: string): number {
  const atMs = /^\d{4}-\d{2}-\d{2}([Tt ].+)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs))
    throw new InvalidArgumentError('Expected a date such as 2026-11-01 or 2026-11-01T12:00:00Z.');
  return atMs;
}

/** @throws InvalidArgumentError when nothing can lie between the two. */
export function requireOrder(from: number | undefined, to: number | undefined): void {
  if (from !== undefined && to !== undefined && from >= to)
    throw new InvalidArgumentError('`--from` must be before `--to`.');
}
