import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { CatalogEntry, CatalogItem, ListKind } from './catalog.ts';
import type { Sealer } from './sealer.ts';

/**
 * A cursor over the joined list names the last entry that was sent, not a position: servers may add and remove items
 * between two pages and nothing is sent twice or skipped but what changed itself. It is sealed for its list, so one that was
 * mangled, made up or taken from another list is refused rather than misread, at every replica. It grants nothing: every page is
 * filtered for its caller again.
 */
export interface Cursors {
  seal(kind: ListKind, position: Position): string;
  /** @throws GatewayError invalid_request (`invalid_cursor`) */
  open(kind: ListKind, cursor: string): Position;
}

/** Where a page begins: after an entry; and after how many, in case that one is gone. */
export interface Position {
  readonly after: string;
  readonly count: number;
}

export interface Page<Item extends CatalogItem> {
  readonly entries: readonly CatalogEntry<Item>[];
  readonly next: Position | undefined;
}

const purpose = 'cursor';
const never = Number.MAX_SAFE_INTEGER;

export function createCursors(sealer: Sealer): Cursors {
  return {
    seal: (kind, { after, count }) => sealer.seal(purpose, kind, [after, count], never),
    open(kind, cursor) {
      const opened = sealer.open(purpose, kind, cursor, 0);
      if (opened === undefined) throw invalidCursor();
      const [after, count] = opened as [string, number]; // the seal says we wrote it
      return { after, count };
    },
  };
}

export function pageOf<Item extends CatalogItem>(
  entries: readonly CatalogEntry<Item>[],
  options: { readonly position: Position | undefined; readonly size: number },
): Page<Item> {
  const start = options.position === undefined ? 0 : startAfter(entries, options.position);
  const page = entries.slice(start, start + options.size);
  const last = page.at(-1);
  const isLast = start + page.length >= entries.length;
  return {
    entries: page,
    next: isLast || !last ? undefined : { after: last.exposed, count: start + page.length },
  };
}

/** The entry the cursor names may be gone: then the count says where to go on, and the client sees what is left. */
function startAfter<Item extends CatalogItem>(
  entries: readonly CatalogEntry<Item>[],
  position: Position,
): number {
  const index = entries.findIndex(entry => entry.exposed === position.after);
  return index === -1 ? Math.min(position.count, entries.length) : index + 1;
}

function invalidCursor(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'The cursor is not one this list gave out. Start again without a cursor.',
    { reason: 'invalid_cursor', param: 'cursor' },
  );
}
