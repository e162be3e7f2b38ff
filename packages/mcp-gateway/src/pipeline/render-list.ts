import type { CatalogEntry, ListKind } from '../domain/catalog.ts';
import { pageOf } from '../domain/cursor.ts';
import type { UriRoutes } from '../domain/uri-routes.ts';
import { type ListedItem, listMembers, renderItem } from '../wire/list-items.ts';
import { metaKeys } from './gateway-identity.ts';
import type { CatalogView } from './session-catalog.ts';

/** Rendered items by entry: a list that did not change is only joined, not written again. */
const rendered = new WeakMap<CatalogEntry<ListedItem>, Buffer>();

/** One page of a merged list, as the `result` of its method. Missing servers and refused names are told, not hidden. */
export function renderListPage(
  view: CatalogView,
  kind: ListKind,
  options: { readonly cursor: string | undefined; readonly size: number; readonly routes: UriRoutes },
): Buffer {
  const page = pageOf(view.entries, kind, options);
  const parts: Buffer[] = [Buffer.from(`{"${listMembers[kind]}":[`)];
  page.entries.forEach((entry, index) => {
    if (index > 0) parts.push(comma);
    parts.push(itemOf(entry, options.routes));
  });
  const cursor = page.nextCursor === undefined ? '' : `,"nextCursor":${JSON.stringify(page.nextCursor)}`;
  const meta = metaOf(view);
  parts.push(Buffer.from(`]${cursor}${meta === undefined ? '' : `,"_meta":${JSON.stringify(meta)}`}}`));
  return Buffer.concat(parts);
}

const comma = Buffer.from(',');

function itemOf(entry: CatalogEntry<ListedItem>, routes: UriRoutes): Buffer {
  let bytes = rendered.get(entry);
  if (!bytes) {
    bytes = renderItem(entry.item, entry.exposed, uri => routes.expose(entry.server, uri));
    rendered.set(entry, bytes);
  }
  return bytes;
}

function metaOf({ missing, refused }: CatalogView): Record<string, unknown> | undefined {
  if (missing.length === 0 && refused.length === 0) return undefined;
  return {
    ...(missing.length > 0 && { [metaKeys.unavailable]: missing }),
    ...(refused.length > 0 && {
      [metaKeys.refused]: refused.map(({ exposed, servers }) => ({ name: exposed, servers })),
    }),
  };
}
