import * as z from 'zod';
import { GatewayError } from '../../errors/gateway-error.ts';
import type { AdminContext } from '../admin-route.ts';

/** What every list takes. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many at most.'),
  cursor: z.string().max(1000).optional().describe('`next_cursor` of the page before.'),
};

export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    items: z.array(item),
    next_cursor: z.string().optional().describe('Where the list goes on; absent on its last page.'),
  });
}

/** One more than the page is asked for, so that the last page is known to be the last. */
export async function readPage<Row, Shown>(
  context: AdminContext,
  query: { readonly limit: number },
  list: {
    read(page: { after: string | undefined; limit: number }): Promise<readonly Row[]>;
    positionOf(row: Row): string;
    show(row: Row): Shown;
  },
): Promise<{ body: { items: Shown[]; next_cursor?: string } }> {
  const rows = await list.read({ after: context.position, limit: query.limit + 1 });
  const shown = rows.slice(0, query.limit);
  const last = shown.at(-1);
  const items = shown.map(row => list.show(row));
  if (rows.length <= query.limit || last === undefined) return { body: { items } };
  return { body: { items, next_cursor: context.sealCursor(list.positionOf(last)) } };
}

export const moment = z.iso.datetime({ offset: true });

/** RFC 3339, UTC. */
export function showMoment(ms: number): string;
export function showMoment(ms: number | undefined): string | undefined;
export function showMoment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

/**
 * Nothing lies between a moment and one before it: whoever asks has mixed them up.
 *
 * @throws GatewayError invalid_request (`admin_request_invalid`).
 */
export function requireOrder(fromMs: number | undefined, toMs: number | undefined): void {
  if (fromMs === undefined || toMs === undefined || fromMs < toMs) return;
  throw new GatewayError('invalid_request', '`from` must be before `to`.', {
    reason: 'admin_request_invalid',
    param: 'from',
  });
}
