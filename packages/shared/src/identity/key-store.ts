import { sql as raw, type UpdateObject } from 'kysely';
import { GatewayError } from '../errors/gateway-error.ts';
import { newId } from '../ids.ts';
import type { Secret } from '../secret.ts';
import {
  type ChangedSubject,
  type IdentityTransaction,
  type IdentityWriter,
  writeChange,
} from './identity-changes.ts';
import type { IdentitySchema } from './identity-schema.ts';
import { keyDigest, newVirtualKey, shownPrefix } from './key-format.ts';
import { fromRow, type KeyRow, selectKeys, type VirtualKey } from './key-rows.ts';
import { noScopes, type Scopes } from './scopes.ts';
import {
  defaultProjectOf,
  defaultTeam,
  type Metadata,
  type PrincipalKind,
  type Role,
  type TreePath,
} from './tree.ts';
import { plantPath } from './tree-path.ts';
import { type ChangeOptions, requireRevision } from './tree-store.ts';

export type { VirtualKey } from './key-rows.ts';

export interface NewKey {
  readonly name: string;
  readonly tenant: string;
  /** Where the principal stands; what is missing of the path is made. */
  readonly team?: string | undefined;
  readonly project?: string | undefined;
  readonly principal: string;
  readonly principalKind?: PrincipalKind | undefined;
  readonly isAdmin?: boolean | undefined;
  /** `owner` for an admin key, none for another, when left out. */
  readonly roles?: readonly Role[] | undefined;
  readonly scopes?: Scopes | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly metadata?: Metadata | undefined;
  readonly expiresAtMs?: number | undefined;
}

/** What may change of a key. `null` removes; what is left out stays. */
export interface KeyChange {
  readonly name?: string | undefined;
  readonly roles?: readonly Role[] | undefined;
  readonly scopes?: Scopes | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly metadata?: Metadata | undefined;
  readonly expiresAtMs?: number | null | undefined;
  readonly isDisabled?: boolean | undefined;
}

/** Within `tenant` only: a key of another is then as unknown as one that does not exist. */
export interface KeyChangeOptions extends ChangeOptions<VirtualKey> {
  readonly tenant?: string | undefined;
}

export interface FoundSecret {
  readonly key: VirtualKey;
  readonly goodUntilMs: number | undefined;
}

/** Every change takes effect in every process within a second. */
export interface KeyStore {
  /**
   * Makes a key. The secret is returned this once and stored only as its digest.
   * @throws GatewayError conflict (`node_elsewhere`), invalid_request (`node_invalid`).
   */
  create(key: NewKey, options?: ChangeOptions<VirtualKey>): Promise<{ key: VirtualKey; secret: Secret }>;
  /** The key whose secret this is, whatever its state; undefined when there is none. */
  findBySecret(secret: string): Promise<VirtualKey | undefined>;
  /** The same, and until when this very secret works, if it is one that was rotated out. */
  findSecret(secret: string): Promise<FoundSecret | undefined>;
  findById(id: string): Promise<VirtualKey | undefined>;
  /** Whether any key exists yet: false only before the first start. */
  isEmpty(): Promise<boolean>;
  /** Keys in the order they were made, from the one after `after`; every tenant's when none is named. */
  list(page: {
    readonly tenant?: string | undefined;
    readonly team?: string | undefined;
    readonly principal?: string | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  }): Promise<VirtualKey[]>;
  /** @throws GatewayError not_found (`unknown_key`), conflict (`revision_mismatch`): as do all below. */
  change(id: string, change: KeyChange, options?: KeyChangeOptions): Promise<VirtualKey>;
  /**
   * Gives the key a new secret, returned this once. The one before works for `graceMs` more, so that its users can change over; one that
   * was rotated out earlier stops at once.
   */
  rotate(
    id: string,
    options: KeyChangeOptions & { readonly graceMs: number },
  ): Promise<{ key: VirtualKey; secret: Secret }>;
  disable(id: string, options?: KeyChangeOptions): Promise<void>;
  /** Removes the key for good; what it used stays in the ledger. `record` sees it as it was. */
  delete(id: string, options?: KeyChangeOptions): Promise<void>;
}

type KeyUpdate = UpdateObject<IdentitySchema, 'virtual_keys'>;

export function createKeyStore(options: IdentityWriter & { readonly pepper: Secret }): KeyStore {
  const { sql, pepper, clock } = options;
  const { db } = sql;

  /** Changes the row of one key and notes it, in one transaction. */
  const update = (id: string, values: KeyUpdate, { tenant, revision, record }: KeyChangeOptions = {}) =>
    writeChange(options, async transaction => {
      const row = await transaction
        .updateTable('virtual_keys')
        .set(current => ({ ...values, revision: current('revision', '+', 1) }))
        .where('id', '=', id)
        .$if(tenant !== undefined, each => each.where('tenant', '=', tenant ?? ''))
        .returning(['revision'])
        .executeTakeFirst();
      if (row === undefined) throw unknownKey(id);
      requireRevision(Number(row.revision) - 1, revision);
      const key = await readKey(transaction, id);
      await record?.(transaction, key);
      return { result: key, changed: [subjectOf(key)] };
    });

  const findSecret = async (secret: string): Promise<FoundSecret | undefined> => {
    const digest = keyDigest(pepper, secret);
    const row = await selectKeys(db)
      .where(where =>
        where.or([
          where('key.digest', '=', digest),
          where.and([
            where('key.previous_digest', '=', digest),
            where('key.previous_until_ms', '>', clock.now()),
          ]),
        ]),
      )
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const key = fromRow(row);
    return { key, goodUntilMs: row.digest === digest ? undefined : key.previousUntilMs };
  };

  return {
    async create(request, { record } = {}) {
      const secret = newVirtualKey();
      const row = toRow(request, { id: newId('key', clock.now()), secret, pepper, nowMs: clock.now() });
      const key = await writeChange(options, async transaction => {
        const planted = await plantPath(transaction, await pathOf(transaction, request), clock.now());
        await transaction.insertInto('virtual_keys').values(row).execute();
        const made = await readKey(transaction, row.id);
        await record?.(transaction, made);
        return { result: made, changed: [...planted, subjectOf(made)] };
      });
      return { key, secret };
    },
    findSecret,
    findBySecret: async secret => (await findSecret(secret))?.key,
    async findById(id) {
      const row = await selectKeys(db).where('key.id', '=', id).executeTakeFirst();
      return row && fromRow(row);
    },
    async isEmpty() {
      return (await db.selectFrom('virtual_keys').select('id').limit(1).executeTakeFirst()) === undefined;
    },
    async list({ tenant, team, principal, after, limit }) {
      const rows = await selectKeys(db)
        .$if(tenant !== undefined, each => each.where('key.tenant', '=', tenant ?? ''))
        .$if(team !== undefined, each => each.where('team.id', '=', team ?? ''))
        .$if(principal !== undefined, each => each.where('key.principal', '=', principal ?? ''))
        .$if(after !== undefined, each => each.where('key.id', '>', after ?? ''))
        .orderBy('key.id')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
    change: (id, change, changeOptions) => update(id, changedColumns(change, clock.now()), changeOptions),
    async rotate(id, { graceMs, ...changeOptions }) {
      const secret = newVirtualKey();
      const values = {
        previous_digest: raw<string>`digest`,
        previous_until_ms: clock.now() + graceMs,
        digest: keyDigest(pepper, secret.reveal()),
        prefix: shownPrefix(secret),
      };
      return { key: await update(id, values, changeOptions), secret };
    },
    async disable(id, changeOptions) {
      await update(id, { disabled_at_ms: clock.now() }, changeOptions);
    },
    delete: (id, { tenant, revision, record } = {}) =>
      writeChange(options, async transaction => {
        const row = await selectKeys(transaction).where('key.id', '=', id).executeTakeFirst();
        if (row === undefined || (tenant !== undefined && row.tenant !== tenant)) throw unknownKey(id);
        const key = fromRow(row);
        requireRevision(key.revision, revision);
        await transaction.deleteFrom('virtual_keys').where('id', '=', id).execute();
        await record?.(transaction, key);
        return { result: undefined, changed: [subjectOf(key)] };
      }),
  };
}

async function readKey(transaction: IdentityTransaction, id: string): Promise<VirtualKey> {
  return fromRow(await selectKeys(transaction).where('key.id', '=', id).executeTakeFirstOrThrow());
}

/** A principal that exists stays where it is when the request does not say where it should stand. */
async function pathOf(transaction: IdentityTransaction, request: NewKey): Promise<TreePath> {
  const { tenant, principal, principalKind = 'user' } = request;
  const parentOf = async (kind: 'principal' | 'project', id: string) =>
    (
      await transaction
        .selectFrom('tree_nodes')
        .select('parent')
        .where('tenant', '=', tenant)
        .where('kind', '=', kind)
        .where('id', '=', id)
        .executeTakeFirst()
    )?.parent;
  const project =
    request.project ??
    (await parentOf('principal', principal)) ??
    defaultProjectOf(request.team ?? defaultTeam);
  const team = request.team ?? (await parentOf('project', project)) ?? defaultTeam;
  return { tenant, team, project, principal, principalKind };
}

function unknownKey(id: string): GatewayError {
  return new GatewayError('not_found', `There is no key '${id.slice(0, 200)}'.`, { reason: 'unknown_key' });
}

function subjectOf({ tenant, id }: VirtualKey): ChangedSubject {
  return { tenant, kind: 'key', id };
}

function changedColumns(change: KeyChange, nowMs: number): KeyUpdate {
  const { name, roles, scopes, tags, metadata, expiresAtMs, isDisabled } = change;
  return {
    ...(name !== undefined && { name }),
    ...(roles !== undefined && { roles: JSON.stringify(roles) }),
    ...(scopes !== undefined && { scopes: JSON.stringify(scopes) }),
    ...(tags !== undefined && { tags: JSON.stringify(tags) }),
    ...(metadata !== undefined && { metadata: JSON.stringify(metadata) }),
    ...(expiresAtMs !== undefined && { expires_at_ms: expiresAtMs }),
    ...(isDisabled !== undefined && { disabled_at_ms: isDisabled ? nowMs : null }),
  };
}

function toRow(request: NewKey, made: { id: string; secret: Secret; pepper: Secret; nowMs: number }): KeyRow {
  const { isAdmin = false } = request;
  return {
    id: made.id,
    digest: keyDigest(made.pepper, made.secret.reveal()),
    name: request.name,
    prefix: shownPrefix(made.secret),
    tenant: request.tenant,
    principal: request.principal,
    is_admin: isAdmin ? 1 : 0,
    roles: JSON.stringify(request.roles ?? (isAdmin ? ['owner'] : [])),
    scopes: JSON.stringify(request.scopes ?? noScopes),
    tags: JSON.stringify(request.tags ?? []),
    metadata: JSON.stringify(request.metadata ?? {}),
    revision: 1,
    created_at_ms: made.nowMs,
    expires_at_ms: request.expiresAtMs ?? null,
    disabled_at_ms: null,
    previous_digest: null,
    previous_until_ms: null,
  };
}
