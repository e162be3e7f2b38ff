import { createTestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, describe } from 'vitest';
import { type Store, stores } from './both-stores.ts';
import { startGateway, type TestGateway } from './gateway.ts';
import { openTestPostgres, type TestPostgres } from './postgres-journal.ts';

/** The shared configuration of a gateway on an empty store of either kind; the server starts when it is wanted first and ends with the file's tests. */
export function useStoreConfigs(): (store: Store) => Promise<Record<string, unknown>> {
  let postgres: Promise<TestPostgres> | undefined;
  afterAll(async () => {
    await (await postgres)?.close();
  });
  return async store => {
    if (store === 'SQLite') return {};
    postgres ??= openTestPostgres();
    const { server } = await postgres;
    return { store: { url: await server.createDatabase(), acquire_timeout_ms: 5000 } };
  };
}

/** The same tests against a gateway on each kind of store, with this section of its own; it answers once they run. */
export function onEachStore(
  suite: (gateway: Pick<TestGateway, 'call' | 'deps'>, store: Store) => void,
  section: Record<string, unknown> = {},
): void {
  const configOf = useStoreConfigs();
  describe.each(stores)('%s', store => {
    let gateway: TestGateway;
    beforeAll(async () => {
      const deps = await createTestDeps({ name: 'agent-gateway', config: await configOf(store) });
      gateway = await startGateway({ deps, config: section });
    });
    afterAll(async () => {
      await gateway.close();
      await gateway.deps.close();
    });
    suite(
      {
        call: (...request) => gateway.call(...request),
        get deps() {
          return gateway.deps;
        },
      },
      store,
    );
  });
}
