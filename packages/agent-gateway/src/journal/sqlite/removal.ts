import type { RemoveDefinitions, RemoveEnded, TrimEvents } from '../../domain/journal.ts';
import { oversizeText } from '../trim-events.ts';
import { removeRuns } from './records.ts';
import type { Statements } from './statements.ts';

const oldEventsText = `
  delete from events where id in (
    select id from events where at_ms < ? and at_ms < coalesce(
      (select min(created_at_ms) from runs where runs.tenant = events.tenant and ended_at_ms is null), at_ms + 1
    ) order by at_ms limit ?
  )`;

export function removeEvents({ beforeMs, limit }: RemoveEnded, statements: Statements): number {
  return statements.run(oldEventsText, beforeMs, limit);
}

export function trimEvents({ most, mostBytes, limit }: TrimEvents, statements: Statements): number {
  const text = `delete from events where id in (${oversizeText('?', '?', '?')})`;
  return statements.run(text, most, mostBytes, limit);
}

/** One that was asked to go on is due, and stays. */
export function removeEnded({ beforeMs, limit, isOwn }: RemoveEnded, statements: Statements): number {
  const isOver = isOwn ? 'keep_ms is not null and ended_at_ms + keep_ms < ?' : 'ended_at_ms < ?';
  const rows = statements.all(
    `select id from runs where ${isOver} and wake_at_ms is null order by ended_at_ms limit ?`,
    beforeMs,
    limit,
  );
  removeRuns(
    rows.map(row => String(row.id)),
    statements,
  );
  return rows.length;
}

export function removeDefinitions(
  { beforeMs, after, limit }: RemoveDefinitions,
  statements: Statements,
): string | undefined {
  const text = 'select hash from definitions where hash > ? order by hash limit ?';
  const last = statements.all(text, after, limit).at(-1)?.hash;
  if (last === undefined) return undefined;
  statements.run(
    `delete from definitions where hash > ? and hash <= ? and created_at_ms < ?
       and not exists (select 1 from runs where definition = definitions.hash)
       and not exists (select 1 from workflows where definition = definitions.hash)`,
    after,
    String(last),
    beforeMs,
  );
  return String(last);
}
