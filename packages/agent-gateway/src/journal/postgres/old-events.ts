import type { Journal } from '../../domain/journal.ts';
import {
  holdAll,
  holdSome,
  newestSumText,
  newestText,
  nextPublisherText,
  nothingHeld,
  removeOldestText,
  removeOldText,
} from '../trim-events.ts';
import type { Query } from './connection.ts';

const publisherText = nextPublisherText('$1');
const oldText = `${removeOldText('$1', '$2::bigint', '$3')} returning 1`;
const sumText = newestSumText('$1', '$2', '$3');
const lookText = newestText('$1', '$2', '$3');
const oldestText = `${removeOldestText('$1', '$2', '$3')} returning 1`;

/** How published events that are too old, or too many, go. */
export function createOldEvents(
  query: Query,
): Pick<Journal, 'nextPublisher' | 'removeEvents' | 'trimEvents'> {
  return {
    async nextPublisher(after) {
      const [row] = await query('next-publisher', publisherText, [after]);
      return row && String(row.tenant);
    },
    async removeEvents({ tenant, beforeMs, limit }) {
      return (await query('remove-events', oldText, [tenant, beforeMs, limit])).length;
    },
    /** What is too much stays too much, whatever is published and removed meanwhile. */
    async trimEvents(options) {
      const { tenant, limit, held: { id } = nothingHeld } = options;
      const [sum] = await query('sum-newest-events', sumText, [tenant, id, limit]);
      const all = holdAll(sum, options);
      if (all !== undefined) return Number(sum?.count) === limit ? all : undefined;
      const { held, tooMuch } = holdSome(
        await query('newest-events', lookText, [tenant, id, limit]),
        options,
      );
      if (tooMuch === undefined) return undefined; // they have been removed meanwhile
      const removed = await query('remove-oldest-events', oldestText, [tenant, tooMuch, limit]);
      return removed.length === limit ? held : undefined;
    },
  };
}
