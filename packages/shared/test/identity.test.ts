import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Envelope, GatewayName } from '@strata/shared/identity/envelope.ts';
import {
  envelopeHeader,
  envelopeLifetimeMs,
  maxEnvelopeDepth,
  narrow,
} from '@strata/shared/identity/envelope.ts';
import { createEnvelopeVerifier } from '@strata/shared/identity/envelope-token.ts';
import { keyDigest } from '@strata/shared/identity/key-format.ts';
import { allScopes, matchesScope, noScopes } from '@strata/shared/identity/scopes.ts';
import { retireSigningKey } from '@strata/shared/identity/signing-keys.ts';
import { Secret } from '@strata/shared/secret.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import fc from 'fast-check';
import { decodeJwt, SignJWT } from 'jose';
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';

const opened: TestDeps[] = [];
afterEach(async () => {
  for (const deps of opened.splice(0).reverse()) await deps.close();
});

async function open(options: Parameters<typeof createTestDeps>[0] = {}): Promise<TestDeps> {
  const deps = await createTestDeps(options);
  opened.push(deps);
  return deps;
}

const reasonOf = (work: Promise<unknown>) =>
  work.then(
    () => 'accepted',
    (error: { reason: string }) => error.reason,
  );

const envelope: Omit<Envelope, 'issuer'> = {
  tenant: 'acme',
  team: 'support',
  project: 'triage',
  subject: 'ada',
  principalKind: 'user',
  keyId: undefined,
  tags: ['blue'],
  grant: { id: 'grant_1', remainingNanoUsd: 9_007_199_254_740_993n },
  actors: ['agent:triage', 'workflow:support/triage'],
  scopes: { ...noScopes, models: ['gpt-*'], tools: ['files__*'] },
  runId: 'run_1',
  taskId: '/do/0',
  deadlineAtMs: undefined,
  depth: 3,
};

test('a key opens the door in every header that official SDKs use', async () => {
  const { authenticate, userKey } = await open();
  const headers = [
    { authorization: `Bearer ${userKey}` },
    { authorization: `bearer  ${userKey}` },
    { 'x-api-key': userKey },
    { 'x-goog-api-key': userKey },
    { 'api-key': userKey },
  ];
  for (const each of headers) expect((await authenticate(each)).principal).toBe('tester');
});

test('[S-2] whatever is not exactly a key of this installation is refused, with one answer for all', async () => {
  const { authenticate, userKey, keys } = await open();
  const disabled = (await keys.create({ name: 'x', tenant: 't', principal: 'p' })).secret.reveal();
  const found = await keys.findBySecret(disabled);
  await keys.disable(found?.id ?? '');
  const wrong = [
    userKey.slice(0, -1),
    `${userKey}0`,
    userKey.toUpperCase(),
    userKey.slice(0, -1) + (userKey.endsWith('0') ? '1' : '0'),
    'sk-strata-',
    "' or 1=1 --",
    disabled,
  ];
  for (const key of wrong)
    expect(await reasonOf(authenticate({ 'x-api-key': key })), key).toBe('key_invalid');
  expect(await reasonOf(authenticate({}))).toBe('key_missing');
  expect(await reasonOf(authenticate({ authorization: `Basic ${userKey}` }))).toBe('key_missing');
});

test('[S1] [S3] random credentials never match, and no issued key is anywhere in the store', async () => {
  const { authenticate, userKey, adminKey, sql: store } = await open();
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1 }), async text => {
      expect(await reasonOf(authenticate({ 'x-api-key': text }))).toBe('key_invalid');
    }),
    { numRuns: 300 },
  );
  const { rows } = await sql`select * from virtual_keys`.execute(store.db);
  const dump = JSON.stringify(rows);
  for (const key of [userKey, adminKey]) {
    expect(dump).not.toContain(key.slice(17));
    expect(dump).toContain(key.slice(0, 16));
  }
  expect(keyDigest(new Secret('a'), userKey)).not.toBe(keyDigest(new Secret('b'), userKey));
});

test('[A12] a key that is disabled, or expires, stops working within the cache time', async () => {
  const clock = createManualClock();
  const { authenticate, keys } = await open({ clock });
  const made = await keys.create({
    name: 'x',
    tenant: 't',
    principal: 'p',
    expiresAtMs: clock.now() + 60_000,
  });
  const ask = () => reasonOf(authenticate({ 'x-api-key': made.secret.reveal() }));
  expect(await ask()).toBe('accepted');
  await clock.advance(60_000);
  expect(await ask()).toBe('key_invalid');
  const other = await keys.create({ name: 'y', tenant: 't', principal: 'p' });
  const askOther = () => reasonOf(authenticate({ 'x-api-key': other.secret.reveal() }));
  expect(await askOther()).toBe('accepted');
  await keys.disable(other.key.id);
  await clock.advance(1000);
  expect(await askOther()).toBe('key_invalid');
});

/** Clocks of two machines may differ by this much. */
const allowedSkewMs = 5000;

async function pair(clock = createManualClock()) {
  const agent = await open({ name: 'agent-gateway', clock });
  const ai = await open({ name: 'ai-gateway', clock, dataDir: agent.dataDir });
  return { agent, ai, clock };
}

test('an envelope says at the next gateway what it said at the first', async () => {
  const { agent, ai } = await pair();
  const token = await agent.envelopes.issue(envelope, 'ai-gateway');
  const caller = await ai.authenticate({ [envelopeHeader]: token, authorization: 'Bearer ignored' });
  expect(caller.envelope).toEqual({ ...envelope, issuer: 'agent-gateway' });
  expect(caller).toMatchObject({ tenant: 'acme', principal: 'ada', isAdmin: false, scopes: envelope.scopes });
});

test('an envelope is for one audience, for five minutes, and before its deadline', async () => {
  const { agent, ai, clock } = await pair();
  const verify = (token: string) => reasonOf(ai.authenticate({ [envelopeHeader]: token }));
  expect(await verify(await agent.envelopes.issue(envelope, 'mcp-gateway'))).toBe('envelope_invalid');
  const token = await agent.envelopes.issue(envelope, 'ai-gateway');
  const late = await agent.envelopes.issue({ ...envelope, deadlineAtMs: clock.now() + 1000 }, 'ai-gateway');
  await clock.advance(1000);
  expect(await verify(late)).toBe('deadline_passed');
  expect(await verify(token)).toBe('accepted');
  await clock.advance(envelopeLifetimeMs + allowedSkewMs);
  expect(await verify(token)).toBe('envelope_expired');
});

test('a changed, foreign or unsigned envelope is refused', async () => {
  const { agent, ai } = await pair();
  const stranger = await open({ name: 'agent-gateway' });
  const token = await agent.envelopes.issue(envelope, 'ai-gateway');
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forged = [
    `${header}.${encode({ ...claims, tenant: 'other' })}.${signature}`,
    `${encode({ alg: 'none' })}.${payload}.`,
    `${encode({ ...(JSON.parse(Buffer.from(header, 'base64url').toString()) as object), alg: 'HS256' })}.${payload}.${signature}`,
    await stranger.envelopes.issue(envelope, 'ai-gateway'),
    'x',
    '',
  ];
  for (const each of forged)
    expect(await reasonOf(ai.authenticate({ [envelopeHeader]: each })), each.slice(0, 30)).toBe(
      'envelope_invalid',
    );
});

test('what no gateway of ours would sign is refused, even with a key of ours: two audiences, more hops than there are, a chain without end', async () => {
  const { agent, ai, clock } = await pair();
  const { keyId, privateKey } = await agent.envelopeKeys.signingKey();
  const chainOf = (length: number) =>
    Array.from({ length }).reduce<object | undefined>(
      (act, _, index) => ({ sub: `agent:${index}`, ...(act && { act }) }),
      undefined,
    );
  const base = decodeJwt(await agent.envelopes.issue(envelope, 'ai-gateway'));
  const verify = async (claims: object) => {
    const token = await new SignJWT({ ...base, ...claims })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'strata-envelope+jwt', kid: keyId })
      .setIssuedAt(Math.floor(clock.now() / 1000))
      .sign(privateKey);
    return ai.authenticate({ [envelopeHeader]: token }).then(
      ({ envelope: read }) => read?.actors.length,
      (error: { reason: string }) => error.reason,
    );
  };
  expect(await verify({})).toBe(2);
  expect(await verify({ act: undefined, depth: 0 })).toBe(0);
  expect(await verify({ act: chainOf(2 * maxEnvelopeDepth), depth: maxEnvelopeDepth })).toBe(32);
  const wrong = [
    { aud: ['ai-gateway', 'mcp-gateway'] },
    { depth: maxEnvelopeDepth + 1 },
    { depth: -1 },
    { act: chainOf(2 * maxEnvelopeDepth + 1) },
    { act: 'agent:x' },
    { act: { sub: 'agent:x', act: { sub: 1 } } },
    { act: null },
  ];
  for (const claims of wrong)
    expect(await verify(claims), JSON.stringify(claims).slice(0, 60)).toBe('envelope_invalid');
});

test('[A12] what was signed with a retired key is refused within a second; its gateway starts again with another', async () => {
  const { agent, ai, clock } = await pair();
  const token = await agent.envelopes.issue(envelope, 'ai-gateway');
  const verify = (each: string) => reasonOf(ai.authenticate({ [envelopeHeader]: each }));
  expect(await verify(token)).toBe('accepted');
  const { keyId } = await agent.envelopeKeys.signingKey();
  const writer = { sql: agent.sql, clock };
  expect((await retireSigningKey(writer, keyId)).gateway).toBe('agent-gateway');
  await clock.advance(1000);
  expect(await verify(token)).toBe('envelope_invalid');
  await expect(retireSigningKey(writer, keyId)).rejects.toMatchObject({ reason: 'unknown_key' });
  const again = () => open({ name: 'agent-gateway', clock, dataDir: agent.dataDir });
  await expect(again()).rejects.toThrow('was retired');
  rmSync(join(agent.dataDir, 'secrets/agent-gateway-envelope.jwk'));
  const renewed = await again();
  expect(await verify(await renewed.envelopes.issue(envelope, 'ai-gateway'))).toBe('accepted');
});

test('an envelope dies with the key it came from', async () => {
  const { agent, ai, clock } = await pair();
  const made = await agent.keys.create({ name: 'x', tenant: 't', principal: 'p', scopes: allScopes });
  const token = await agent.envelopes.issue({ ...envelope, keyId: made.key.id }, 'ai-gateway');
  const verify = () => reasonOf(ai.authenticate({ [envelopeHeader]: token }));
  expect(await verify()).toBe('accepted');
  await agent.keys.disable(made.key.id);
  await clock.advance(1000);
  expect(await verify()).toBe('key_invalid');
});

test('[W7] narrowing never widens: scopes, deadline, depth', () => {
  const patterns = fc.array(fc.stringMatching(/^[ab*]{0,4}$/), { maxLength: 3 });
  const scopes = fc.record({
    models: patterns,
    servers: patterns,
    tools: patterns,
    agents: patterns,
    workflows: patterns,
  });
  const deadline = fc.option(fc.nat(), { nil: undefined });
  const name = fc.stringMatching(/^[ab]{0,5}$/);
  fc.assert(
    fc.property(
      scopes,
      scopes,
      deadline,
      deadline,
      name,
      (parentScopes, childScopes, parentDeadline, childDeadline, tool) => {
        const parent: Envelope = {
          ...envelope,
          issuer: 'agent-gateway',
          scopes: parentScopes,
          deadlineAtMs: parentDeadline,
        };
        const child = narrow(parent, {
          scopes: childScopes,
          actor: 'agent:x',
          ...(childDeadline !== undefined && { deadlineAtMs: childDeadline }),
        });
        if (matchesScope(child.scopes.tools, tool)) expect(matchesScope(parentScopes.tools, tool)).toBe(true);
        if (parentDeadline !== undefined) expect(child.deadlineAtMs).toBeLessThanOrEqual(parentDeadline);
        expect(child.depth).toBe(parent.depth - 1);
        expect(child.actors).toEqual(['agent:x', ...parent.actors]);
      },
    ),
    { numRuns: 2000 },
  );
});

test('a chain deeper than allowed cannot be continued', async () => {
  const { agent } = await pair();
  let current: Envelope = { ...envelope, issuer: 'agent-gateway', depth: maxEnvelopeDepth };
  for (let hop = 0; hop <= maxEnvelopeDepth; hop++) current = narrow(current, {});
  expect(await reasonOf(agent.envelopes.issue(current, 'ai-gateway'))).toBe('envelope_depth_exhausted');
});

test('the published key verifies what the gateway signs', async () => {
  const names: GatewayName[] = ['ai-gateway', 'mcp-gateway'];
  const { agent, clock } = await pair();
  const { keys } = await agent.envelopeKeys.jwks();
  expect(keys).toHaveLength(1);
  expect(keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', use: 'sig' });
  expect(keys[0]).not.toHaveProperty('d');
  for (const audience of names) {
    const verifier = createEnvelopeVerifier({ audience, keys: agent.envelopeKeys, clock });
    expect((await verifier.verify(await agent.envelopes.issue(envelope, audience))).subject).toBe('ada');
  }
});

test('a rotated key: the new secret works at once, the one before until the grace ends, the one before that no more', async () => {
  const clock = createManualClock();
  const { keys, authenticate } = await open({ clock });
  const made = await keys.create({ name: 'x', tenant: 't', principal: 'p' });
  const accepts = (secret: Secret) => reasonOf(authenticate({ authorization: `Bearer ${secret.reveal()}` }));
  const second = await keys.rotate(made.key.id, { graceMs: 60_000 });
  expect(second.key).toMatchObject({ id: made.key.id, previousUntilMs: clock.now() + 60_000 });
  expect(second.key.prefix).not.toBe(made.key.prefix);
  expect([await accepts(made.secret), await accepts(second.secret)]).toEqual(['accepted', 'accepted']);
  await clock.advance(60_000);
  expect([await accepts(made.secret), await accepts(second.secret)]).toEqual(['key_invalid', 'accepted']);

  const third = await keys.rotate(made.key.id, { graceMs: 60_000 });
  const fourth = await keys.rotate(made.key.id, { graceMs: 60_000 });
  await clock.advance(5_000); // past the time that a key is answered from memory
  expect([await accepts(second.secret), await accepts(third.secret), await accepts(fourth.secret)]).toEqual([
    'key_invalid',
    'accepted',
    'accepted',
  ]);
  await keys.disable(made.key.id);
  await clock.advance(5_000);
  expect([await accepts(third.secret), await accepts(fourth.secret)]).toEqual(['key_invalid', 'key_invalid']);
});

test('keys are listed by tenant, page after page, and a deleted one is gone', async () => {
  const { keys, authenticate } = await open();
  const made = [];
  for (const name of ['a', 'b', 'c']) made.push(await keys.create({ name, tenant: 'acme', principal: 'p' }));
  await keys.create({ name: 'foreign', tenant: 'other', principal: 'p' });
  const first = await keys.list({ tenant: 'acme', limit: 2 });
  const rest = await keys.list({ tenant: 'acme', limit: 2, after: first.at(-1)?.id });
  expect([...first, ...rest].map(key => key.name).sort()).toEqual(['a', 'b', 'c']);
  expect(JSON.stringify(first)).not.toContain(made[0]?.secret.reveal());
  const gone = made[0];
  await keys.delete(gone?.key.id ?? '');
  expect(await reasonOf(authenticate({ 'x-api-key': gone?.secret.reveal() }))).toBe('key_invalid');
  expect(await reasonOf(keys.delete(gone?.key.id ?? ''))).toBe('unknown_key');
  expect(await reasonOf(keys.rotate('key_unknown', { graceMs: 0 }))).toBe('unknown_key');
});
