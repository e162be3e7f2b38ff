import type { RemoveDefinitions, StoredDefinition } from '../../domain/journal.ts';
import { definitionIsFreshMs } from '../definition-age.ts';
import type { Query } from './connection.ts';

const maxKnown = 5000;

const putText = `insert into definitions values ($1, $2, $3) on conflict (hash) do
  update set created_at_ms = $3 where definitions.created_at_ms < $3 - $4::bigint`;

/** What was put again meanwhile has another time when its row is looked at again, and stays. */
const removeText = `
  with looked as (
    select hash from definitions where hash > $2 order by hash limit $3
  ), gone as (
    delete from definitions using looked where definitions.hash = looked.hash and created_at_ms < $1
      and not exists (select 1 from runs where definition = looked.hash)
      and not exists (select 1 from workflows where definition = looked.hash)
  )
  select max(hash) as last from looked`;

/** The table of definitions. What this process has put not long ago it does not put again. */
export function createDefinitionRows(query: Query) {
  const known = new Map<string, { readonly atMs: number; readonly stored: Promise<void> }>();

  return {
    put({ hash, document }: StoredDefinition, atMs: number): Promise<void> {
      const before = known.get(hash);
      if (before !== undefined && atMs - before.atMs < definitionIsFreshMs) return before.stored;
      const stored = query('put-definition', putText, [hash, document, atMs, definitionIsFreshMs]).then(
        () => {},
      );
      const [oldest] = known.keys();
      if (known.size >= maxKnown && oldest !== undefined) known.delete(oldest);
      known.delete(hash);
      known.set(hash, { atMs, stored });
      stored.catch(() => known.delete(hash));
      return stored;
    },
    /** Waits for one that is on its way. */
    async isPut(hash: string): Promise<void> {
      await known.get(hash)?.stored;
    },
    async get(hash: string): Promise<StoredDefinition | undefined> {
      const [row] = await query('get-definition', 'select document from definitions where hash = $1', [hash]);
      return row && { hash, document: String(row.document) };
    },
    async remove({ beforeMs, after, limit }: RemoveDefinitions): Promise<string | undefined> {
      const [row] = await query('remove-definitions', removeText, [beforeMs, after, limit]);
      return typeof row?.last === 'string' ? row.last : undefined;
    },
  };
}
