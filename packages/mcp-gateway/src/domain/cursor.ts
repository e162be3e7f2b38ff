import { createHash } from 'node:crypto';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { CatalogEntry, CatalogItem, ListKind } from './catalog.ts';

/**
 * A cursor over the joined list names the last entry that was sent, not a position: servers may add and remove items
 * between two pages and nothing is sent twice or skipped but what changed itself. It says which list it belongs to and
 * carries a checksum, so one that was mangled or taken from another list is refused rather than misread. It holds
 * nothing its reader was not shown, and grants nothing: every page is filtered for its caller again.
 */
export interface Page<Item extends CatalogItem> {
  readonly entries: readonly CatalogEntry<Item>[];
  readonly nextCursor: string | undefined;
}

export function pageOf<Item extends CatalogItem>(
  entries: readonly CatalogEntry<Item>[],
  kind: ListKind,
  options: { readonly cursor: string | undefined; readonly size: number },
): Page<Item> {
  const start = options.cursor === undefined ? 0 : startAfter(entries, openCursor(options.cursor, kind));
  const page = entries.slice(start, start + options.size);
  const last = page.at(-1);
  const isLast = start + page.length >= entries.length;
  return {
    entries: page,
    nextCursor: isLast || !last ? undefined : sealCursor(kind, last.exposed, start + page.length),
  };
}

interface Position {
  readonly after: string;
  readonly count: number;
}

/** The entry the cursor names may be gone: then the count says where to go on, and the client sees what is left. */
function startAfter<Item extends CatalogItem>(
  entries: readonly CatalogEntry<Item>[],
  position: Position,
): number {
  const index = entries.findIndex(entry => entry.exposed === position.after);
  return index === -1 ? Math.min(position.count, entries.length) : index + 1;
}

function sealCursor(kind: ListKind, after: string, count: number): string {
  const body = JSON.stringify([kind, after, count]);
  return Buffer.from(`${checksum(body)}${body}`).toString('base64url');
}

function openCursor(cursor: string, kind: ListKind): Position {
  const text = Buffer.from(cursor, 'base64url').toString();
  const body = text.slice(checksumLength);
  if (text.slice(0, checksumLength) === checksum(body)) {
    const [sealedKind, after, count] = JSON.parse(body) as [ListKind, string, number]; // the checksum says we wrote it
    if (sealedKind === kind) return { after, count };
  }
  throw new GatewayError(
    'invalid_request',
    'The cursor is not one this list gave out. Start again without a cursor.',
    {
      reason: 'invalid_cursor',
      param: 'cursor',
    },
  );
}

const checksumLength = 12;

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, checksumLength);
}
