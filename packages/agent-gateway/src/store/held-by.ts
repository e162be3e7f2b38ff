import { type Kysely, sql } from 'kysely';

/** How many rows of a table a tenant has, and how many bytes they have together. */
export async function heldBy<Schema>(
  tenant: string,
  { db, table }: { readonly db: Kysely<Schema>; readonly table: string },
): Promise<{ readonly count: number; readonly bytes: number }> {
  const text = sql<{ count: number | string; bytes: number | string }>`
    select count(*) as count, coalesce(sum(bytes), 0) as bytes from ${sql.table(table)} where tenant = ${tenant}`;
  const [row] = (await text.execute(db)).rows;
  return { count: Number(row?.count), bytes: Number(row?.bytes) };
}
