import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Envelope, envelopeHeader } from '@strata/shared/identity/envelope.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import type { Plan } from '@strata/shared/testing/fake-upstream/plan.ts';
import { eventStreamHead } from '@strata/shared/testing/fake-upstream/plans.ts';
import { type FakeUpstream, startFakeUpstream } from '@strata/shared/testing/fake-upstream.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chatRequest, post, type RunningGateway, sectionFor, startGateway } from './harness.ts';
import { chatEvents } from './recordings.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'strata-revoked-'));
let upstream: FakeUpstream;
let gateway: RunningGateway;
let agents: TestDeps;

beforeAll(async () => {
  upstream = await startFakeUpstream({ plan: [{ op: 'stall' }] });
  gateway = await startGateway({ dataDir, section: sectionFor({ openai: upstream.url }) });
  agents = await createTestDeps({ name: 'agent-gateway', dataDir });
});
afterAll(async () => {
  await agents.close();
  await gateway.close();
  await upstream.close();
  rmSync(dataDir, { recursive: true, force: true });
});

const hangs: Plan = [{ op: 'stall' }];
const streams: Plan = [
  eventStreamHead,
  { op: 'write', bytes: chatEvents.slice(0, 2).join('') },
  { op: 'stall' },
];

/** A call that hangs at the upstream, which is known to have it. */
async function hang(plan: Plan, headers: Record<string, string>, more: object = {}) {
  upstream.use(plan);
  const number = upstream.requests.length + 1;
  const answer = post(gateway, '/v1/chat/completions', chatRequest(more), headers);
  await upstream.requestReceived(number);
  return { answer, closed: () => upstream.closed(number) };
}

test('[A12] a key that is disabled elsewhere ends its calls here, and at the upstream', async () => {
  const made = await agents.keys.create({ name: 'x', tenant: 'acme', principal: 'ada', scopes: allScopes });
  const headers = { authorization: `Bearer ${made.secret.reveal()}` };
  const whole = await hang(hangs, headers);
  const stream = await hang(streams, headers, { stream: true });
  const bystander = await hang(hangs, {});
  await agents.keys.disable(made.key.id);

  const refused = await whole.answer;
  expect(refused.status).toBe(401);
  expect(JSON.parse(refused.body.toString()).error.code).toBe('key_revoked');
  const cut = await stream.answer;
  expect(cut.status).toBe(200);
  expect(cut.body.toString()).toContain('key_revoked');
  for (const call of [whole, stream]) expect((await call.closed()).end?.how).toMatch(/^client-/);

  const next = await post(gateway, '/v1/chat/completions', chatRequest(), headers);
  expect(next.status).toBe(401);
  expect(JSON.parse(next.body.toString()).error.code).toBe('key_invalid');
  expect(await Promise.race([bystander.answer, Promise.resolve('goes on')])).toBe('goes on');
});

test('a run that is cancelled ends its calls here, and at the upstream', async () => {
  const envelope: Omit<Envelope, 'issuer'> = {
    tenant: 'acme',
    team: 'default',
    project: 'default',
    subject: 'user:ada',
    principalKind: 'user',
    keyId: undefined,
    tags: [],
    actors: [],
    scopes: allScopes,
    grant: undefined,
    runId: 'run_1',
    taskId: '/do/0',
    deadlineAtMs: undefined,
    depth: 3,
  };
  const headers = {
    authorization: '',
    [envelopeHeader]: await agents.envelopes.issue(envelope, 'ai-gateway'),
  };
  const whole = await hang(hangs, headers);
  const stream = await hang(streams, headers, { stream: true });
  await agents.cancelRun({ tenant: 'acme', runId: 'run_1' });
  expect((await whole.answer).status).toBe(499);
  await stream.answer;
  for (const call of [whole, stream]) expect((await call.closed()).end?.how).toMatch(/^client-/);
  expect((await post(gateway, '/v1/chat/completions', chatRequest(), headers)).status).toBe(499);
});
