import type { AdminRoute } from '@strata/shared/admin/admin-route.ts';
import { type Role, roles } from '@strata/shared/identity/tree.ts';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type AdminBench, type AdminCall, type AdminReply, openAdminBench } from './admin-bench.ts';

/** A key of each role in the organisation `default`, one of nobody, and an owner elsewhere. */
export type Who = Role | 'none' | 'elsewhere';

/** The admin API on one kind of store, and how a test asks it. */
export interface AdminSuite {
  readonly bench: AdminBench;
  keyOf(who: Who): string;
  /** With the key of the installation unless another is given. */
  call(call: Partial<AdminCall> & { readonly path: string }): Promise<AdminReply>;
  post(path: string, body: unknown, more?: Partial<AdminCall>): Promise<AdminReply>;
  makeKey(more?: object): Promise<Record<string, unknown>>;
}

let serial = 0;
export const unique = (prefix: string) => `${prefix}-${++serial}`;

/** The same tests on SQLite and on PostgreSQL. */
export async function adminSuite(
  title: string,
  tests: (suite: AdminSuite) => void,
  { more = [] }: { readonly more?: readonly AdminRoute[] } = {},
): Promise<void> {
  const postgres = await startPostgres();
  afterAll(async () => {
    if (!isMissing(postgres)) await postgres.close();
  });
  suiteOn(`${title} on SQLite`, { tests, more, config: async () => ({}) });
  if (isMissing(postgres)) test.skip(`${title} on PostgreSQL: ${postgres.missing}`, () => {});
  else
    suiteOn(`${title} on PostgreSQL`, {
      ...{ tests, more },
      config: async () => ({ store: { url: await postgres.createDatabase() } }),
    });
}

function suiteOn(
  title: string,
  {
    tests,
    more,
    config,
  }: {
    readonly tests: (suite: AdminSuite) => void;
    readonly more: readonly AdminRoute[];
    readonly config: () => Promise<Record<string, unknown>>;
  },
): void {
  describe(title, () => {
    let bench: AdminBench;
    const keys = new Map<Who, string>();

    beforeAll(async () => {
      bench = await openAdminBench({
        config: {
          ...(await config()),
          identity: { policies: [{ name: 'no-claude', effect: 'deny', names: ['claude*'], when: 'true' }] },
        },
        more,
      });
      for (const role of roles) keys.set(role, await bench.deps.createKey({ name: role, roles: [role] }));
      keys.set('none', await bench.deps.createKey());
      keys.set('elsewhere', await bench.deps.createKey({ tenant: 'elsewhere', roles: ['owner'] }));
    });
    afterAll(() => bench.close());

    const suite: AdminSuite = {
      get bench() {
        return bench;
      },
      keyOf: who => keys.get(who) ?? '',
      call: call => bench.call({ key: bench.deps.adminKey, ...call }),
      post: (path, body, more = {}) => suite.call({ method: 'POST', path, body, ...more }),
      makeKey: async (more = {}) =>
        (await suite.post('/keys', { name: unique('key'), principal: 'tester', ...more })).body,
    };
    tests(suite);
  });
}
