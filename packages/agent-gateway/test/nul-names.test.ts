import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { openTestPostgres, type TestPostgres } from './support/postgres-journal.ts';

/** U+0000 in a name, which texts of PostgreSQL cannot have: it is somebody's mistake and no failure of the gateway. */

let postgres: TestPostgres;
let gateway: TestGateway;
beforeAll(async () => {
  postgres = await openTestPostgres();
  const config = { store: { url: await postgres.server.createDatabase() } };
  gateway = await startGateway({ deps: await createTestDeps({ name: 'agent-gateway', config }) });
});
afterAll(async () => {
  await gateway.close();
  await gateway.deps.close();
  await postgres.close();
});

interface Described {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

/** With it in each parameter of path and query, one at a time. */
function* requests(): Generator<readonly [method: string, path: string]> {
  for (const [path, methods] of Object.entries(gateway.openApi.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const { parameters = [] } = operation as Described; // as it is served
      for (const { in: where, name } of parameters.filter(each => each.in !== 'header')) {
        const filled = path.replaceAll(/\{([^}]+)\}/g, (_, each: string) =>
          where === 'path' && each === name ? 'a%00b' : 'x',
        );
        const texts = ['a%00b', Buffer.from('a\0b\nc').toString('base64url')];
        if (where === 'path') yield [method.toUpperCase(), filled];
        else for (const text of texts) yield [method.toUpperCase(), `${filled}?${name}=${text}`];
      }
    }
  }
}

test('in every parameter of every operation it is refused, or names nothing', async () => {
  const failed: unknown[] = [];
  let count = 0;
  for (const [method, path] of requests()) {
    const { status, body } = await gateway.call(method, path, method === 'GET' ? {} : { body: {} });
    if (status >= 500) failed.push([method, path, status, body.reason]);
    count++;
  }
  expect(failed).toEqual([]);
  expect(count).toBeGreaterThan(60);
});
