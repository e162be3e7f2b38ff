import { systemClock } from '@strata/shared/clock.ts';
import { createTreeStore } from '@strata/shared/identity/tree-store.ts';
import type { SharedSchema } from '@strata/shared/stores/shared-schema.ts';
import type { SqlStore } from '@strata/shared/stores/sql.ts';
import { requireOrganisation } from './tree/require-organisation.ts';

/**
 * A list that is empty says so beside it, on standard error. Where it was asked for an organisation, that one must be known.
 *
 * @throws Error when nobody of that name is known: a name that was mistyped must not look like one that has nothing.
 */
export async function tellNothing(
  sql: SqlStore<SharedSchema>,
  { what, tenant }: { readonly what: string; readonly tenant: string | undefined },
): Promise<void> {
  if (tenant !== undefined) await requireOrganisation(createTreeStore({ sql, clock: systemClock }), tenant);
  tellNone({ what, tenant });
}

/** The same of what is known to be there: the log of an organisation outlives it, and the installation has one. */
export function tellNone({
  what,
  tenant,
}: {
  readonly what: string;
  readonly tenant: string | undefined;
}): void {
  process.stderr.write(`There is no ${what}${tenant === undefined ? '' : ` of '${tenant}'`}.\n`);
}
