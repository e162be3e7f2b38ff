import type {
  HeldEvents,
  RemoveDefinitions,
  RemoveEnded,
  RemoveEvents,
  TrimEvents,
} from '../../domain/journal.ts';
import {
  holdAll,
  holdSome,
  newestSumText,
  newestText,
  nothingHeld,
  removeOldestText,
  removeOldText,
} from '../trim-events.ts';
import { removeRuns } from './records.ts';
import type { Statements } from './statements.ts';

const oldText = removeOldText('?1', '?2', '?3');
const sumText = newestSumText('?', '?', '?');
const lookText = newestText('?', '?', '?');
const oldestText = removeOldestText('?', '?', '?');

export function removeEvents({ tenant, beforeMs, limit }: RemoveEvents, statements: Statements): number {
  return statements.run(oldText, tenant, beforeMs, limit);
}

export function trimEvents(options: TrimEvents, statements: Statements): HeldEvents | undefined {
  const { tenant, limit, held: { id } = nothingHeld } = options;
  const sum = statements.get(sumText, tenant, id, limit);
  const all = holdAll(sum, options);
  if (all !== undefined) return Number(sum?.count) === limit ? all : undefined;
  const { held, tooMuch = 0 } = holdSome(statements.all(lookText, tenant, id, limit), options);
  return statements.run(oldestText, tenant, tooMuch, limit) === limit ? held : undefined;
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
