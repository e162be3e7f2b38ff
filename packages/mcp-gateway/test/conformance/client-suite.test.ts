import { expect, test } from 'vitest';
import { node } from '../start-gateway.ts';
import { runSuite } from './run-suite.ts';

/**
 * The suite's scenarios for clients, with the gateway as the client: each starts a server that watches what it is sent. What concerns
 * the SDK's client in front of the gateway, and authorization, is not what the gateway does.
 */
const command = `${node} ${new URL('client-through-gateway.ts', import.meta.url).pathname}`;

test.for([
  ['initialize', '2025-11-25'],
  ['tools_call', '2025-11-25'],
  ['sse-retry', '2025-11-25'],
  ['tools_call', '2026-07-28'],
  ['request-metadata', '2026-07-28'],
  ['http-standard-headers', '2026-07-28'],
  ['http-custom-headers', '2026-07-28'],
  ['http-invalid-tool-headers', '2026-07-28'],
  ['json-schema-ref-no-deref', '2026-07-28'],
  ['sep-2322-client-request-state', '2026-07-28'],
] as const)(
  '[MCP-5] as a client of servers the gateway passes %s of %s',
  { timeout: 120_000 },
  async ([scenario, version]) => {
    const run = await runSuite([
      'client',
      '--command',
      command,
      '--scenario',
      scenario,
      '--spec-version',
      version,
    ]);
    expect(
      run.checks.filter(check => check.endsWith(' FAILURE')),
      run.output,
    ).toEqual([]);
    expect(run.passed).toBeGreaterThan(0);
  },
);
