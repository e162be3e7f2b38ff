import {
  type Envelope,
  envelopeHeader,
  type GatewayName,
  gatewayNames,
} from '@strata/shared/identity/envelope.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startThreeGateways, type ThreeGateways } from './three-gateways.ts';

/** An envelope at the doors of real gateways: it opens one of them, for a while, and nothing behind it that is not handed on. */

let stack: ThreeGateways;
beforeAll(async () => {
  stack = await startThreeGateways({});
});
afterAll(() => stack.close());

const routes: Readonly<Record<GatewayName, string>> = {
  'ai-gateway': '/v1/models',
  'mcp-gateway': '/mcp',
  'agent-gateway': '/v1/runs',
};

async function issue(
  from: GatewayName,
  audience: GatewayName,
  change: Partial<Envelope> = {},
): Promise<string> {
  const { deps } = stack;
  return deps[from].envelopes.issue(
    {
      tenant: 'default',
      team: 'default',
      project: 'default',
      subject: 'ada',
      principalKind: 'user',
      keyId: undefined,
      tags: [],
      grant: undefined,
      actors: ['agent:triage'],
      scopes: allScopes,
      runId: 'run_1',
      taskId: undefined,
      deadlineAtMs: undefined,
      depth: 3,
      ...change,
    },
    audience,
  );
}

async function knock(gateway: GatewayName, envelope: string, path = routes[gateway]) {
  const isRpc = path === '/mcp';
  const answer = await fetch(stack.urls[gateway] + path, {
    method: isRpc ? 'POST' : 'GET',
    headers: {
      [envelopeHeader]: envelope,
      ...(isRpc && { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }),
    },
    ...(isRpc && {
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: {
          protocolVersion: '2025-11-25',
          capabilities: {},
          clientInfo: { name: 'test', version: '1' },
        },
      }),
    }),
  });
  return { status: answer.status, text: await answer.text() };
}

test('[W7] an envelope opens the gateway that it is for, whoever signed it, and is refused by every other', async () => {
  for (const from of gatewayNames) {
    for (const audience of gatewayNames) {
      const envelope = await issue(from, audience);
      for (const gateway of gatewayNames) {
        const { status, text } = await knock(gateway, envelope);
        const what = `signed by ${from} for ${audience}, shown to ${gateway}: ${text.slice(0, 200)}`;
        if (gateway === audience) expect(status, what).toBe(200);
        else expect([status, text.includes('envelope_invalid')], what).toEqual([401, true]);
      }
    }
  }
});

test('[W7] past its deadline it opens nothing, and a chain that is as deep as it may be goes no further', async () => {
  for (const gateway of gatewayNames) {
    const late = await issue('agent-gateway', gateway, { deadlineAtMs: Date.now() - 1 });
    expect((await knock(gateway, late)).text, gateway).toContain('deadline_passed');
    await expect(issue('agent-gateway', gateway, { depth: -1 })).rejects.toMatchObject({
      reason: 'envelope_depth_exhausted',
    });
  }
});

test('[S4] whoever acts for somebody administers nothing, whatever roles that somebody has', async () => {
  const { keys } = stack.deps['agent-gateway'];
  const owner = {
    name: 'hers',
    tenant: 'default',
    principal: 'ada',
    roles: ['owner' as const],
    isAdmin: true,
  };
  const { key } = await keys.create({ ...owner, scopes: allScopes });
  for (const gateway of gatewayNames) {
    const envelope = await issue('agent-gateway', gateway, { keyId: key.id });
    expect((await knock(gateway, envelope)).status, gateway).toBe(200);
    const refused = await knock(gateway, envelope, '/admin/v1/keys');
    expect([refused.status, refused.text.includes('role_required')], gateway).toEqual([403, true]);
  }
});
