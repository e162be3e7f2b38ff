import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { type Clock, systemClock } from '../clock.ts';
import { sharedSections } from '../config/root-schema.ts';
import { type GatewayDeps, openGatewayDeps } from '../gateway-deps.ts';
import type { GatewayName } from '../identity/envelope.ts';
import type { NewKey } from '../identity/key-store.ts';
import { allScopes } from '../identity/scopes.ts';

export interface TestDeps extends GatewayDeps {
  /** A key that may use everything, and one for the admin routes. */
  readonly userKey: string;
  readonly adminKey: string;
  /** Makes another key. */
  createKey(options?: Partial<NewKey>): Promise<string>;
}

/**
 * Real parts for a gateway under test: SQLite in a temporary folder, hot state in the process, real keys. Gateways that share
 * `dataDir` trust one another's envelopes, as the three processes of a stack do. `close()` removes a folder that was made here.
 */
export async function createTestDeps(
  options: { name?: GatewayName; clock?: Clock; dataDir?: string; config?: Record<string, unknown> } = {},
): Promise<TestDeps> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'strata-test-'));
  const config = z.strictObject(sharedSections).parse({
    data_dir: dataDir,
    telemetry: { log_level: 'silent', recent_spans: 2000 },
    ...options.config,
  });
  const deps = await openGatewayDeps({
    name: options.name ?? 'ai-gateway',
    config,
    clock: options.clock ?? systemClock,
  });
  const create = async (key: NewKey) => (await deps.keys.create(key)).secret.reveal();
  const user = { name: 'test', tenant: 'default', principal: 'tester', scopes: allScopes };
  return {
    ...deps,
    userKey: await create(user),
    adminKey: await create({ ...user, isAdmin: true }),
    createKey: (key = {}) => create({ ...user, ...key }),
    async close() {
      await deps.close();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
