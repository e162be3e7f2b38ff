import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { openSqlStore } from '@strata/shared/stores/open-sql.ts';
import { storeSection } from '@strata/shared/stores/store-section.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { afterAll, expect, test } from 'vitest';
import { sqlContract } from './contracts/sql-contract.ts';
import { outcomeOf } from './contracts/sql-items.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-sql-'));
const postgres = await startPostgres();
afterAll(async () => {
  rmSync(folder, { recursive: true });
  if (!isMissing(postgres)) await postgres.close();
});

let files = 0;
sqlContract('SQLite', async () => `file:${join(folder, `${++files}.sqlite`)}`);

if (isMissing(postgres)) test.skip(`PostgreSQL as a SQL store: ${postgres.missing}`, () => {});
else sqlContract('PostgreSQL', () => postgres.createDatabase());

test.for(['', 'file:', 'file::memory:', 'mysql://host/database', '/no/scheme'])(
  'a url that names no store (%j) is refused',
  async url => {
    const config = storeSection.parse({});
    expect(await outcomeOf(openSqlStore({ url, config, migrations: [], clock: systemClock }))).toBe(
      'store_url_invalid',
    );
  },
);
