import {
  type CatalogEntry,
  type ListKind,
  type MergedCatalog,
  mergeNamed,
  visibleEntries,
} from '../domain/catalog.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { ListedItem } from '../wire/list-items.ts';

/** One server's list, as it was read. */
export interface LoadedPart {
  readonly upstream: Upstream;
  readonly items: readonly ListedItem[];
}

interface Joined {
  readonly parts: readonly LoadedPart[];
  readonly merged: MergedCatalog<ListedItem>;
}

type Entries = readonly CatalogEntry<ListedItem>[];

/** Views of one joined list that are remembered: as many as there are kinds of keys, not keys. */
const maxViews = 64;

/**
 * Joins servers' lists of names, once for all sessions that see the same lists through the same globs: a thousand sessions of shared
 * servers hold one joined list between them, and its rendered form with it. What nobody's list leads to any more is collected.
 */
export class JoinedLists {
  readonly #byFirstList = new WeakMap<readonly ListedItem[], Map<string, Joined>>();
  readonly #byName = new WeakMap<Entries, ReadonlyMap<string, CatalogEntry<ListedItem>>>();
  readonly #views = new WeakMap<Entries, Map<string, Entries>>();

  merge(parts: readonly LoadedPart[]): MergedCatalog<ListedItem> {
    const first = parts[0]?.items;
    if (first === undefined) return { entries: [], refused: [] };
    const known = this.#byFirstList.get(first) ?? new Map<string, Joined>();
    this.#byFirstList.set(first, known);
    const key = parts.map(({ upstream }) => `${upstream.name} ${upstream.policy.hasPlainNames}`).join(' ');
    const joined = known.get(key);
    if (joined?.parts.every((part, index) => part.items === parts[index]?.items)) return joined.merged;
    const merged = mergeNamed(
      parts.map(({ upstream, items }) => ({
        server: upstream.name,
        hasPlainNames: upstream.policy.hasPlainNames,
        items,
      })),
    );
    known.set(key, { parts, merged });
    return merged;
  }

  /** The entry with this name. */
  find(entries: Entries, exposed: string): CatalogEntry<ListedItem> | undefined {
    const byName = this.#byName.get(entries) ?? new Map(entries.map(entry => [entry.exposed, entry]));
    this.#byName.set(entries, byName);
    return byName.get(exposed);
  }

  /** The part of a list that these globs match; the same array for the same list and globs. */
  visible(entries: Entries, kind: ListKind, patterns: readonly string[]): Entries {
    const views = this.#views.get(entries) ?? new Map<string, Entries>();
    this.#views.set(entries, views);
    const key = `${kind} ${JSON.stringify(patterns)}`;
    const known = views.get(key);
    if (known) return known;
    const [oldest] = views.keys();
    if (views.size >= maxViews && oldest !== undefined) views.delete(oldest);
    const view = visibleEntries(entries, kind, patterns);
    views.set(key, view);
    return view;
  }
}
