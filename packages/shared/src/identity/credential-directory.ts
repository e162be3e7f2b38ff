import type { Caller } from './caller.ts';
import type { ChangedSubject, IdentityChange } from './identity-changes.ts';
import type { IdentityWatch } from './identity-watch.ts';
import type { KeyStore, VirtualKey } from './key-store.ts';
import type { Standing, TreeStore } from './tree-store.ts';

/** A key as it is in force: one object for as long as nothing about it changes. */
export interface KnownKey {
  readonly key: VirtualKey;
  readonly caller: Caller;
  /** Wall clock milliseconds from which it is of no use; 0 when it is stopped. */
  readonly endsAtMs: number;
}

/**
 * Keys and principals as the store has them, kept in memory until the log of changes says otherwise: a known key costs no query, and a
 * changed one is never answered from memory.
 */
export interface CredentialDirectory {
  bySecret(digest: string, secret: string): Promise<KnownKey | undefined> | KnownKey;
  byId(id: string): Promise<KnownKey | undefined> | KnownKey;
  /** Of a principal without a key; undefined when the tree does not know it. */
  standingOf(tenant: string, principal: string): Promise<Standing | undefined> | Standing;
}

const maxKnown = 20_000;
const maxUnknown = 2000;

interface Entry<T> {
  readonly value: T;
  /** Names of the records that it was made of. */
  readonly sources: readonly string[];
}

export function createCredentialDirectory(options: {
  keys: KeyStore;
  tree: TreeStore;
  watch: IdentityWatch;
}): CredentialDirectory {
  const { keys, tree, watch } = options;
  const secrets = new ChangingCache<KnownKey>();
  const ids = new ChangingCache<KnownKey>();
  const standings = new ChangingCache<Standing>();
  watch.onChange(changes => {
    for (const cache of [secrets, ids, standings]) cache.drop(changes);
  });
  return {
    bySecret: (digest, secret) =>
      secrets.get(digest, async () => {
        const found = await keys.findSecret(secret);
        return found && entryOf(found.key, found.goodUntilMs);
      }),
    byId: id =>
      ids.get(id, async () => {
        const key = await keys.findById(id);
        return key && entryOf(key, undefined);
      }),
    standingOf: (tenant, principal) =>
      standings.get(JSON.stringify([tenant, principal]), async () => {
        const standing = await tree.findStanding(tenant, principal);
        return standing && { value: standing, sources: sourcesOf(standing) };
      }),
  };
}

function entryOf(key: VirtualKey, goodUntilMs: number | undefined): Entry<KnownKey> {
  const { tenant, team, project, principal, principalKind, tags, roles, isAdmin, scopes } = key;
  const path = { tenant, team, project, principal, principalKind };
  const caller = { ...path, keyId: key.id, tags, roles, isAdmin, scopes, envelope: undefined };
  const isStopped = key.disabledAtMs !== undefined || key.isStoppedAbove;
  const ends = [key.expiresAtMs, key.endsAboveAtMs, goodUntilMs].map(end => end ?? Number.POSITIVE_INFINITY);
  return {
    value: { key, caller, endsAtMs: isStopped ? 0 : Math.min(...ends) },
    sources: [sourceName('key', tenant, key.id), ...sourcesOf(key)],
  };
}

function sourcesOf(path: { tenant: string; team: string; project: string; principal: string }): string[] {
  const { tenant, team, project, principal } = path;
  return [
    sourceName('organisation', tenant, tenant),
    sourceName('team', tenant, team),
    sourceName('project', tenant, project),
    sourceName('principal', tenant, principal),
  ];
}

function sourceName(kind: ChangedSubject['kind'], tenant: string, id: string): string {
  return `${kind} ${tenant} ${id}`;
}

/** Answers that are remembered until what they were made of changes. What was not found is remembered until anything changes. */
class ChangingCache<T> {
  readonly #known = new Map<string, Entry<T>>();
  readonly #unknown = new Set<string>();
  /** Being read at the moment: what is read may be older than a change that is seen meanwhile. */
  readonly #pending = new Map<string, Promise<T | undefined>>();

  get(name: string, read: () => Promise<Entry<T> | undefined>): T | Promise<T | undefined> {
    const entry = this.#known.get(name);
    if (entry !== undefined) return entry.value;
    return (
      this.#pending.get(name) ??
      (this.#unknown.has(name) ? Promise.resolve(undefined) : this.#read(name, read))
    );
  }

  drop(changes: readonly IdentityChange[] | undefined): void {
    this.#unknown.clear();
    this.#pending.clear();
    if (changes === undefined) {
      this.#known.clear();
      return;
    }
    const changed = new Set(changes.map(({ kind, tenant, id }) => sourceName(kind, tenant, id)));
    for (const [name, entry] of this.#known) {
      if (entry.sources.some(source => changed.has(source))) this.#known.delete(name);
    }
  }

  #read(name: string, read: () => Promise<Entry<T> | undefined>): Promise<T | undefined> {
    const reading: Promise<T | undefined> = read().then(
      entry => {
        // Something changed while it was read: it is read again, and whoever waits gets what is newer.
        if (this.#pending.get(name) !== reading) return this.#pending.get(name) ?? this.#read(name, read);
        this.#pending.delete(name);
        if (entry === undefined) remember(this.#unknown, name);
        else this.#keep(name, entry);
        return entry?.value;
      },
      (error: unknown) => {
        if (this.#pending.get(name) === reading) this.#pending.delete(name);
        throw error;
      },
    );
    this.#pending.set(name, reading);
    return reading;
  }

  #keep(name: string, entry: Entry<T>): void {
    if (this.#known.size >= maxKnown) this.#known.delete(this.#known.keys().next().value ?? '');
    this.#known.set(name, entry);
  }
}

function remember(names: Set<string>, name: string): void {
  if (names.size >= maxUnknown) names.clear();
  names.add(name);
}
