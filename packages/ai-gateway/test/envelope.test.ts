import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Envelope, envelopeHeader } from '@strata/shared/identity/envelope.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { eventStreamHead, jsonPlan } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatCompletion, chatEvents } from './recordings.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'strata-envelope-'));
let upstream: FakeUpstream;
let gateway: RunningGateway;
let agents: TestDeps;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: jsonPlan(chatCompletion) });
  gateway = await startGateway({ dataDir, section: sectionFor({ openai: upstream.url }) });
  agents = await createTestDeps({ name: 'agent-gateway', dataDir });
});
afterAll(async () => {
  await agents.close();
  await gateway.close();
  await upstream.close();
  rmSync(dataDir, { recursive: true, force: true });
});

const envelope = (change: Partial<Envelope>): Promise<string> =>
  agents.envelopes.issue(
    {
      tenant: 'acme',
      team: 'default',
      project: 'default',
      subject: 'user:ada',
      principalKind: 'user',
      keyId: undefined,
      tags: [],
      grant: undefined,
      actors: ['agent:triage'],
      scopes: { ...noScopes, models: ['chat'] },
      runId: 'run_1',
      taskId: '/do/0/think',
      deadlineAtMs: Date.now() + 60_000,
      depth: 3,
      ...change,
    },
    'ai-gateway',
  );

async function ask(change: Partial<Envelope>, more: object = {}) {
  const headers = { authorization: '', [envelopeHeader]: await envelope(change) };
  return post(gateway, '/v1/chat/completions', chatRequest(more), headers);
}

test('a call for somebody is booked on who asked, with its run and task', async () => {
  gateway.records.length = 0;
  expect((await ask({})).status).toBe(200);
  const [record] = await gateway.recorded(1);
  expect(record).toMatchObject({
    tenant: 'acme',
    principal: 'user:ada',
    runId: 'run_1',
    taskId: '/do/0/think',
  });
});

test('[W7] scopes that the envelope does not hold are refused', async () => {
  expect((await ask({ scopes: { ...noScopes, models: ['other'] } })).status).toBe(404);
});

test('the deadline of the envelope ends a call that is under way, at the upstream too', async () => {
  upstream.use([eventStreamHead, { op: 'write', bytes: chatEvents.slice(0, 2).join('') }, { op: 'stall' }]);
  const exchange = upstream.requests.length + 1;
  const answer = await ask({ deadlineAtMs: Date.now() + 400 }, { stream: true });
  expect(answer.body.toString()).toContain('deadline_passed');
  expect((await upstream.closed(exchange)).end?.how).toMatch(/^client-/);
  upstream.use([{ op: 'stall' }]);
  const none = await ask({ deadlineAtMs: Date.now() + 400 });
  expect(none.status).toBe(504);
  expect(JSON.parse(none.body.toString()).error.code).toBe('deadline_passed');
});
