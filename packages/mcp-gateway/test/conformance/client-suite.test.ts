import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectInPage } from '../matrix.ts';
import { node } from '../start-gateway.ts';
import { explanationOf } from './not-a-client.ts';
import { type Requirements, runSuite } from './run-suite.ts';
import { type ScenarioHost, startScenarioHost } from './scenario-host.ts';

/**
 * The suite's scenarios for clients, with the gateway as the client: each starts a server that watches what it is sent. All that a
 * revision requires are run; those that ask for what the gateway is not are named with the reason, and have to fail.
 */
let host: ScenarioHost;
const table: string[][] = [['As a client of servers', 'scenarios passed', 'not applicable']];

beforeAll(async () => {
  host = await startScenarioHost();
});
afterAll(() => host?.close());

test.for(['2025-11-25', '2026-07-28'] as const)(
  '[MCP-5] as a client of servers the gateway passes every scenario of %s that applies to it',
  { timeout: 240_000, retry: 1 }, // as in `conformance.test.ts`
  async (requirements: Requirements) => {
    const command = `${node} ${join(import.meta.dirname, 'client-command.mjs')} ${host.url}`;
    const run = await runSuite([
      'client',
      '--command',
      command,
      '--requirements',
      requirements,
      '--timeout',
      '120000',
    ]);
    const failed = run.scenarios.filter(({ failures }) => failures.length > 0);
    const isExplained = (name: string) => explanationOf(name) !== undefined;
    expect(failed.filter(({ name }) => !isExplained(name))).toEqual([]);
    const passed = run.scenarios.filter(({ failures, passed: count }) => failures.length === 0 && count > 0);
    expect(passed.filter(({ name }) => isExplained(name)).map(({ name }) => name)).toEqual([]);
    const others = run.scenarios.filter(({ name }) => isExplained(name));
    expect(passed.length + others.length).toBe(run.scenarios.length);
    table.push([requirements, passed.map(({ name }) => `\`${name}\``).join(' '), String(others.length)]);
  },
);

test('the page names the scenarios that passed, no more and no less', () => {
  expectInPage('client suite', table);
});
