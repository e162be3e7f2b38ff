import { namedScopes } from '@strata/shared/admin/resources/key-fields.ts';
import type { VirtualKey } from '@strata/shared/identity/key-store.ts';
import { readScopes } from '@strata/shared/identity/scopes.ts';
import { loadSharedConfig, withKeyStore } from '@strata/shared/with-key-store.ts';
import { InvalidArgumentError } from 'commander';
import { parseWritten } from '../parse-written.ts';
import { tellNothing } from '../tell-nothing.ts';

export interface CreateKeyOptions {
  readonly name: string;
  readonly principal: string;
  readonly tenant: string;
  readonly admin: boolean;
  readonly models: string[];
  readonly tools: string[];
  readonly workflows: string[];
  readonly agents?: string[];
}

/** `strata keys create`: prints the key once, then never again. */
export async function createKey(options: CreateKeyOptions): Promise<void> {
  const { name, models, tools, workflows, agents = workflows } = options;
  const written = parseWritten(namedScopes, {
    name,
    scopes: readScopes({ models, tools, workflows, agents }),
  });
  const made = await withKeyStore(loadSharedConfig(), (keys, audited) =>
    keys.create(
      {
        ...written,
        tenant: options.tenant,
        principal: options.principal,
        isAdmin: options.admin,
      },
      audited('key.create'),
    ),
  );
  process.stdout.write(`${made.secret.reveal()}\n`);
  process.stderr.write(
    `Key ${made.key.id} (${made.key.prefix}…) for ${made.key.principal}. It is shown this once.\n`,
  );
}

export interface ListKeysOptions {
  readonly tenant?: string;
}

const pageSize = 500;

/** `strata keys list`: one line a key, without anything that opens a door. */
export async function listKeys({ tenant }: ListKeysOptions): Promise<void> {
  await withKeyStore(loadSharedConfig(), async (keys, _, sql) => {
    let after: string | undefined;
    do {
      const page = await keys.list({ tenant, after, limit: pageSize });
      if (page.length === 0 && after === undefined) await tellNothing(sql, { what: 'key', tenant });
      for (const key of page) process.stdout.write(`${describeKey(key, Date.now())}\n`);
      after = page.length === pageSize ? page.at(-1)?.id : undefined;
    } while (after !== undefined);
  });
}

function describeKey(key: VirtualKey, nowMs: number): string {
  const isExpired = key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs;
  const state = key.disabledAtMs !== undefined ? 'disabled' : isExpired ? 'expired' : 'active';
  const role = key.isAdmin ? 'admin' : 'user';
  return [key.id, `${key.prefix}…`, key.tenant, key.principal, key.name, role, state].join('\t');
}

/** `strata keys rotate ID`: prints the new key once. */
export async function rotateKey(id: string, { graceMinutes }: { graceMinutes: number }): Promise<void> {
  const { key, secret } = await withKeyStore(loadSharedConfig(), (keys, audited) =>
    keys.rotate(id, { graceMs: graceMinutes * 60_000, ...audited('key.rotate') }),
  );
  process.stdout.write(`${secret.reveal()}\n`);
  process.stderr.write(
    `Key ${key.id} is now ${key.prefix}…, shown this once. The one before works for ${graceMinutes} more minutes.\n`,
  );
}

export function parseGraceMinutes(text: string): number {
  const minutes = Number(text);
  if (!Number.isInteger(minutes) || minutes < 0 || minutes > 525_600) {
    throw new InvalidArgumentError('Expected a whole number from 0 to 525600.');
  }
  return minutes;
}

/** `strata keys delete ID`. */
export async function deleteKey(id: string): Promise<void> {
  await withKeyStore(loadSharedConfig(), (keys, audited) => keys.delete(id, audited('key.delete')));
  process.stderr.write(`Key ${id} is gone.\n`);
}

/** `strata keys disable ID`. */
export async function disableKey(id: string): Promise<void> {
  await withKeyStore(loadSharedConfig(), (keys, audited) => keys.disable(id, audited('key.disable')));
  process.stderr.write(`Key ${id} no longer works.\n`);
}
