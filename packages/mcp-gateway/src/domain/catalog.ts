import { matchesScope } from '@strata/shared/identity/scopes.ts';
import { exposedName, foldsOf, nameSeparator } from './names.ts';

/** The four kinds of lists a server offers. */
export type ListKind = 'tools' | 'prompts' | 'resources' | 'templates';

export const listKinds: readonly ListKind[] = ['tools', 'prompts', 'resources', 'templates'];

/** The lists that a `list_changed` notification is about; none when it is another notification. */
export function kindsOfChange(method: string): readonly ListKind[] {
  switch (method) {
    case 'notifications/tools/list_changed':
      return ['tools'];
    case 'notifications/prompts/list_changed':
      return ['prompts'];
    case 'notifications/resources/list_changed':
      return ['resources', 'templates'];
    default:
      return [];
  }
}

/** The notification that tells a client about it. */
export function changeOfKind(kind: ListKind): string {
  return `notifications/${kind === 'templates' ? 'resources' : kind}/list_changed`;
}

/** One item as its server lists it: its key (a name or a URI) and whatever else the caller keeps with it. */
export interface CatalogItem {
  readonly key: string;
  /** It lacks what clients need to read it. */
  readonly isRefused?: boolean;
}

/** What one server offers. */
export interface ServerPart<Item extends CatalogItem> {
  readonly server: string;
  readonly hasPlainNames: boolean;
  readonly items: readonly Item[];
}

/** One item as a client sees it. */
export interface CatalogEntry<Item extends CatalogItem> {
  readonly exposed: string;
  readonly server: string;
  readonly item: Item;
}

export interface MergedCatalog<Item extends CatalogItem> {
  /** In the order of the servers' configuration, then of the servers' own lists. */
  readonly entries: readonly CatalogEntry<Item>[];
  /** Names that two items claim, of which none is offered because nobody can know which one is meant (M8), and names of items that no client could read. */
  readonly refused: readonly { readonly exposed: string; readonly servers: readonly string[] }[];
}

/** Joins named lists (tools, prompts). Every exposed name stands for exactly one item of one server. */
export function mergeNamed<Item extends CatalogItem>(
  parts: readonly ServerPart<Item>[],
): MergedCatalog<Item> {
  const all = parts.flatMap(part =>
    part.items.map(item => ({
      exposed: exposedName(part.server, item.key, part.hasPlainNames),
      server: part.server,
      item,
    })),
  );
  const claims = new Map<string, CatalogEntry<Item>[]>();
  for (const entry of all) {
    for (const fold of foldsOf(entry.exposed)) {
      const group = claims.get(fold);
      if (group) group.push(entry);
      else claims.set(fold, [entry]);
    }
  }
  const rivalsOf = (entry: CatalogEntry<Item>) =>
    foldsOf(entry.exposed)
      .map(fold => claims.get(fold) ?? [])
      .find(group => group.length > 1);
  const refused = new Map<string, readonly string[]>();
  const entries = all.filter(entry => {
    const rivals = rivalsOf(entry);
    const isRefused = rivals !== undefined || entry.item.isRefused === true;
    const claimants = rivals ?? [entry];
    if (isRefused) refused.set(entry.exposed, [...new Set(claimants.map(claimant => claimant.server))]);
    return !isRefused;
  });
  return { entries, refused: [...refused].map(([exposed, servers]) => ({ exposed, servers })) };
}

/**
 * The name that a key's tool globs are matched against. Prompts and resources have no globs of their own: they are
 * visible to whoever may use `server__<prompt name or URI>`.
 */
export function scopedName(entry: { exposed: string; server: string; key: string }, kind: ListKind): string {
  return kind === 'tools' || kind === 'prompts'
    ? entry.exposed
    : `${entry.server}${nameSeparator}${entry.key}`;
}

/** The part of a list that a caller may see. Nothing matches an empty list of globs (S-2). */
export function visibleEntries<Item extends CatalogItem>(
  entries: readonly CatalogEntry<Item>[],
  kind: ListKind,
  patterns: readonly string[],
): CatalogEntry<Item>[] {
  return entries.filter(entry =>
    matchesScope(
      patterns,
      scopedName({ exposed: entry.exposed, server: entry.server, key: entry.item.key }, kind),
    ),
  );
}
