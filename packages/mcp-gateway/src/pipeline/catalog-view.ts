import { createHash } from 'node:crypto';
import type { CatalogEntry, MergedCatalog } from '../domain/catalog.ts';
import type { ListedItem } from '../wire/list-items.ts';

export interface MissingServer {
  readonly server: string;
  readonly reason: string;
}

export interface CatalogView {
  readonly entries: readonly CatalogEntry<ListedItem>[];
  /** Servers whose part of the list could not be had. */
  readonly missing: readonly MissingServer[];
  readonly refused: MergedCatalog<ListedItem>['refused'];
  /** How long the whole may be kept, ms: the shortest time of its parts; 0 when a part is missing or says nothing. */
  readonly ttlMs: number;
}

/** Whether a client would be shown the same. */
export function isSameView(left: CatalogView, right: CatalogView): boolean {
  const isSameList = left.entries === right.entries && left.missing.length + right.missing.length === 0;
  return isSameList || digestOf(left) === digestOf(right);
}

function digestOf({ entries, missing }: CatalogView): string {
  const hash = createHash('sha256').update(JSON.stringify(missing));
  for (const { exposed, item } of entries) hash.update(exposed).update('\0').update(item.bytes);
  return hash.digest('base64');
}
