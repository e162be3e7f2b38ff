import { systemClock } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { MigrationSet } from '@strata/shared/stores/migrations.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';

/** The tables that the tests of the SQL stores use. */

export interface ItemsSchema {
  items: { id: string; amount: number | bigint; data: Uint8Array | null };
  parts: { seq: number | undefined; item: string; share: number };
}

export const items = (extra: readonly string[] = []): MigrationSet => ({
  name: 'contract',
  migrations: [
    {
      name: '0001-items',
      statements: ({ text, integer, bytes, tableOptions }) => [
        `create table items (id ${text} primary key, amount ${integer} not null, data ${bytes}) ${tableOptions}`,
        ...extra,
      ],
    },
    {
      name: '0002-parts',
      statements: ({ text, integer, serialKey, tableOptions }) => [
        `create table parts (
          seq ${serialKey},
          item ${text} not null references items (id),
          share ${integer} not null check (share <= 100)
        ) ${tableOptions}`,
      ],
    },
  ],
});

export function openItems(
  url: string,
  options: { readonly migrations?: readonly MigrationSet[]; readonly config?: object } = {},
): Promise<SqlStore<ItemsSchema>> {
  const { migrations = [items()], config = {} } = options;
  return openSqlStore({ url, config: storeSection.parse(config), migrations, clock: systemClock });
}

/** `done`, or why not. */
export function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof GatewayError ? error.reason : String(error)),
  );
}
