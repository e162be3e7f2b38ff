import type { SqlStore } from '@strata/shared/stores/sql.ts';
import type { Transaction } from 'kysely';

/** A store whose first transaction is what `around` makes of it. */
export function aroundFirst<Schema>(
  store: SqlStore<Schema>,
  around: (run: () => Promise<unknown>) => Promise<unknown>,
): SqlStore<Schema> {
  let isFirst = true;
  const db = new Proxy(store.db, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (name !== 'transaction' || !isFirst)
        return typeof member === 'function' ? member.bind(target) : member;
      isFirst = false;
      return () => ({
        execute: async (work: (transaction: Transaction<Schema>) => Promise<unknown>) => {
          let result: unknown;
          await around(async () => {
            result = await target.transaction().execute(work);
          });
          return result;
        },
      });
    },
  });
  return { ...store, db };
}
