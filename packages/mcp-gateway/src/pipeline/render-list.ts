import type { CatalogEntry, ListKind } from '../domain/catalog.ts';
import { type Cursors, type Page, type Position, pageOf } from '../domain/cursor.ts';
import type { UriRoutes } from '../domain/uri-routes.ts';
import { hasAppUri, type ListedItem, listMembers, renderItem } from '../wire/list-items.ts';
import { onOneLine } from '../wire/splice.ts';
import type { CatalogView } from './catalog-view.ts';
import { metaKeys } from './gateway-identity.ts';

export interface ListPageOptions {
  /** Where the page begins; the beginning of the list when undefined. */
  readonly position: Position | undefined;
  readonly cursors: Cursors;
  readonly size: number;
  readonly routes: UriRoutes;
  /** The client's era wants caching hints and the type of the result in it. */
  readonly isModern: boolean;
}

type Entries = readonly CatalogEntry<ListedItem>[];

/** The rendered items of a page, up to the end of the list: the same for all who see this very array of entries. */
const rendered = new WeakMap<Entries, Map<string, Buffer>>();
/** Pages of one list that are remembered; a list that changes leaves more. */
const maxPages = 100;

const comma = Buffer.from(',');

/** One page of a merged list, as the `result` of its method. Missing servers and refused names are told, not hidden. */
export function renderListPage(view: CatalogView, kind: ListKind, options: ListPageOptions): Buffer {
  const body = rememberedItems(view.entries, kind, options);
  const meta = metaOf(view);
  const hints = options.isModern
    ? `,"resultType":"complete","ttlMs":${view.ttlMs},"cacheScope":"private"` // what a key may see is nobody else's
    : '';
  const end = meta === undefined ? `${hints}}` : `${hints},"_meta":${JSON.stringify(meta)}}`;
  return Buffer.concat([body, Buffer.from(end)]);
}

function rememberedItems(entries: Entries, kind: ListKind, options: ListPageOptions): Buffer {
  const pages = rendered.get(entries) ?? new Map<string, Buffer>();
  rendered.set(entries, pages);
  const key = `${kind} ${options.isModern} ${options.size} ${options.position?.after ?? ''} ${options.position?.count ?? 0}`;
  const known = pages.get(key);
  if (known) return known;
  const page = pageOf(entries, options);
  const body = renderItems(page, kind, options);
  // The page of an app is named as this session knows it, which is nobody else's form.
  const isShared = !page.entries.some(entry => hasAppUri(entry.item));
  if (isShared && pages.size < maxPages) pages.set(key, body);
  return body;
}

function renderItems(
  page: Page<ListedItem>,
  kind: ListKind,
  { routes, cursors, isModern }: ListPageOptions,
): Buffer {
  const parts: Buffer[] = [Buffer.from(`{"${listMembers[kind]}":[`)];
  page.entries.forEach(({ item, exposed, server }, index) => {
    if (index > 0) parts.push(comma);
    const shown = isModern ? item : (item.forSessions ?? item);
    parts.push(onOneLine(renderItem(shown, exposed, uri => routes.expose(server, uri))));
  });
  const next = page.next && `,"nextCursor":${JSON.stringify(cursors.seal(kind, page.next))}`;
  parts.push(Buffer.from(`]${next ?? ''}`));
  return Buffer.concat(parts);
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
