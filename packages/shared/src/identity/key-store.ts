import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { newId } from '../ids.ts';
import type { Secret } from '../secret.ts';
import type { SqlStore } from '../stores/sql.ts';
import type { IdentitySchema } from './identity-schema.ts';
import { keyDigest, newVirtualKey, shownPrefix } from './key-format.ts';
import { noScopes, type Scopes } from './scopes.ts';

/** A virtual key as it may be shown: everything but the key. */
export interface VirtualKey {
  readonly id: string;
  readonly name: string;
  /** The first characters of the key. */
  readonly prefix: string;
  readonly tenant: string;
  readonly principal: string;
  readonly isAdmin: boolean;
  readonly scopes: Scopes;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly disabledAtMs: number | undefined;
  /** Until when the key before the last rotation works too. */
  readonly previousUntilMs: number | undefined;
}

export interface NewKey {
  readonly name: string;
  readonly tenant: string;
  readonly principal: string;
  readonly isAdmin?: boolean;
  readonly scopes?: Scopes;
  readonly expiresAtMs?: number;
}

export interface KeyStore {
  /** Makes a key. The secret is returned this once and stored only as its digest. */
  create(key: NewKey): Promise<{ key: VirtualKey; secret: Secret }>;
  /** The key whose secret this is, whatever its state; undefined when there is none. */
  findBySecret(secret: string): Promise<VirtualKey | undefined>;
  findById(id: string): Promise<VirtualKey | undefined>;
  /** Whether any key exists yet: false only before the first start. */
  isEmpty(): Promise<boolean>;
  /** Keys in the order they were made, from the one after `after`; every tenant's when none is named. */
  list(page: {
    readonly tenant?: string | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  }): Promise<VirtualKey[]>;
  /**
   * Gives the key a new secret, returned this once. The one before works for `graceMs` more, so that its users can change over; one that
   * was rotated out earlier stops at once. @throws GatewayError not_found.
   */
  rotate(id: string, options: { readonly graceMs: number }): Promise<{ key: VirtualKey; secret: Secret }>;
  /** @throws GatewayError not_found. */
  disable(id: string): Promise<void>;
  /** Removes the key for good; what it used stays in the ledger. @throws GatewayError not_found. */
  delete(id: string): Promise<void>;
}

export function createKeyStore(options: {
  sql: SqlStore<IdentitySchema>;
  pepper: Secret;
  clock: Clock;
}): KeyStore {
  const { sql, pepper, clock } = options;
  const { db } = sql;
  return {
    async create(request) {
      const secret = newVirtualKey();
      const key: VirtualKey = {
        id: newId('key', clock.now()),
        name: request.name,
        prefix: shownPrefix(secret),
        tenant: request.tenant,
        principal: request.principal,
        isAdmin: request.isAdmin ?? false,
        scopes: request.scopes ?? noScopes,
        createdAtMs: clock.now(),
        expiresAtMs: request.expiresAtMs,
        disabledAtMs: undefined,
        previousUntilMs: undefined,
      };
      await db
        .insertInto('virtual_keys')
        .values(toRow(key, keyDigest(pepper, secret.reveal())))
        .execute();
      return { key, secret };
    },
    async findBySecret(secret) {
      const digest = keyDigest(pepper, secret);
      const row = await db
        .selectFrom('virtual_keys')
        .selectAll()
        .where(where =>
          where.or([
            where('digest', '=', digest),
            where.and([where('previous_digest', '=', digest), where('previous_until_ms', '>', clock.now())]),
          ]),
        )
        .executeTakeFirst();
      return row && fromRow(row);
    },
    async findById(id) {
      const row = await db.selectFrom('virtual_keys').selectAll().where('id', '=', id).executeTakeFirst();
      return row && fromRow(row);
    },
    async isEmpty() {
      return (await db.selectFrom('virtual_keys').select('id').limit(1).executeTakeFirst()) === undefined;
    },
    async list({ tenant, after, limit }) {
      const rows = await db
        .selectFrom('virtual_keys')
        .selectAll()
        .$if(tenant !== undefined, each => each.where('tenant', '=', tenant ?? ''))
        .$if(after !== undefined, each => each.where('id', '>', after ?? ''))
        .orderBy('id')
        .limit(limit)
        .execute();
      return rows.map(fromRow);
    },
    async rotate(id, { graceMs }) {
      const secret = newVirtualKey();
      const row = await db
        .updateTable('virtual_keys')
        .set(current => ({
          previous_digest: current.ref('digest'),
          previous_until_ms: clock.now() + graceMs,
          digest: keyDigest(pepper, secret.reveal()),
          prefix: shownPrefix(secret),
        }))
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw unknownKey(id);
      return { key: fromRow(row), secret };
    },
    async delete(id) {
      const result = await db.deleteFrom('virtual_keys').where('id', '=', id).executeTakeFirst();
      if (result.numDeletedRows === 0n) throw unknownKey(id);
    },
    async disable(id) {
      const result = await db
        .updateTable('virtual_keys')
        .set({ disabled_at_ms: clock.now() })
        .where('id', '=', id)
        .executeTakeFirst();
      if (result.numUpdatedRows === 0n) throw unknownKey(id);
    },
  };
}

function unknownKey(id: string): GatewayError {
  return new GatewayError('not_found', `There is no key '${id}'.`, { reason: 'unknown_key' });
}

type KeyRow = IdentitySchema['virtual_keys'];

function toRow(key: VirtualKey, digest: string): KeyRow {
  return {
    id: key.id,
    digest,
    name: key.name,
    prefix: key.prefix,
    tenant: key.tenant,
    principal: key.principal,
    is_admin: key.isAdmin ? 1 : 0,
    scopes: JSON.stringify(key.scopes),
    created_at_ms: key.createdAtMs,
    expires_at_ms: key.expiresAtMs ?? null,
    disabled_at_ms: key.disabledAtMs ?? null,
    previous_digest: null,
    previous_until_ms: null,
  };
}

function fromRow(row: KeyRow): VirtualKey {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    tenant: row.tenant,
    principal: row.principal,
    isAdmin: Number(row.is_admin) === 1,
    scopes: JSON.parse(row.scopes) as Scopes, // written by `toRow` only
    createdAtMs: Number(row.created_at_ms),
    expiresAtMs: row.expires_at_ms === null ? undefined : Number(row.expires_at_ms),
    disabledAtMs: row.disabled_at_ms === null ? undefined : Number(row.disabled_at_ms),
    previousUntilMs: row.previous_until_ms === null ? undefined : Number(row.previous_until_ms),
  };
}
