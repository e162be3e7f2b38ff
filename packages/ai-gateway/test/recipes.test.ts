import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Simulator, startSimulator } from '@strata/shared/testing/simulator/simulator.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningGateway, startGateway } from './harness.ts';

/** The programs of docs/ai-gateway.md, run as they stand. */

const page = readFileSync(join(import.meta.dirname, '../../../docs/ai-gateway.md'), 'utf8');
const recipes = [...page.matchAll(/^### (.+)\n\n```ts\n([\s\S]*?)^```$/gm)].map(
  ([, name = '', program = '']) => ({ name, program }),
);

let simulator: Simulator;
let gateway: RunningGateway;
let folder: string;

beforeAll(async () => {
  // Below this package, so that the programs find its SDKs.
  folder = mkdtempSync(join(import.meta.dirname, '.recipes-'));
  simulator = await startSimulator({ keys: ['sk-provider'] });
  gateway = await startGateway({
    section: {
      providers: {
        anthropic: {
          type: 'anthropic',
          base_url: `${simulator.url}/anthropic`,
          api_key: 'sk-provider',
          allow_private: true,
        },
      },
      models: { 'my-model': { targets: [{ provider: 'anthropic', model: 'sim-model' }] } },
    },
  });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await gateway.close();
  await simulator.close();
});

test('the page has its recipes', () => {
  expect(recipes.length).toBeGreaterThanOrEqual(6);
});

test.each(recipes)(
  '$name',
  async ({ name, program }) => {
    const file = join(folder, `${name.replace(/\W+/g, '-')}.ts`);
    writeFileSync(file, program);
    const env = { ...process.env, STRATA_URL: gateway.url, STRATA_KEY: gateway.key, NODE_OPTIONS: '' };
    const { stdout } = await promisify(execFile)(process.execPath, [file], { env, timeout: 60_000 });
    const lines = stdout.trim().split('\n');
    for (const line of lines) expect(line).toBe('You said: Say hello.');
  },
  90_000,
);
