import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { envelopeHeader } from '@strata/shared/identity/envelope.ts';
import { noScopes } from '@strata/shared/identity/scopes.ts';
import { nodeIdSchema } from '@strata/shared/identity/tree.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createManualClock } from '@strata/shared/testing/manual-clock.ts';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';

const issuer = 'https://login.acme.test/';

/** An identity provider: what it publishes and how it answers is the test's to say. */
interface Provider {
  readonly server: Server;
  readonly url: string;
  fetches: number;
  keys: JWK[];
  answer: 'keys' | 'never' | 'too much' | 'an error' | 'nonsense';
}

async function startProvider(): Promise<Provider> {
  const server = createServer((_request, response) => {
    provider.fetches++;
    const body = JSON.stringify({ keys: provider.keys });
    if (provider.answer === 'keys') response.end(body);
    if (provider.answer === 'too much')
      response.end(`${body.slice(0, -1)},"padding":"${'x'.repeat(100_000)}"}`);
    if (provider.answer === 'an error') response.writeHead(500).end(body);
    if (provider.answer === 'nonsense') response.end('<html>');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const provider: Provider = {
    server,
    url: `http://127.0.0.1:${port}/keys`,
    fetches: 0,
    keys: [],
    answer: 'keys',
  };
  return provider;
}

async function newKey(kid: string, alg = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig', alg } };
}
type Key = Awaited<ReturnType<typeof newKey>>;

let provider: Provider;
let deps: TestDeps;
let first: Key;
const clock = createManualClock();

beforeEach(async () => {
  provider = await startProvider();
  first = await newKey('first');
  provider.keys = [first.jwk];
  deps = await createTestDeps({ clock, config: { identity: { issuers: [config()] } } });
});
afterEach(async () => {
  await deps.close();
  provider.server.closeAllConnections();
  provider.server.close();
});

const config = () => ({
  issuer,
  audiences: ['strata'],
  jwks_url: provider.url,
  allow_private: true,
  algorithms: ['ES256'],
  organisation: { claim: 'org', allowed: ['acme', 'blue-*'] },
  team: { claim: 'https://acme.test/team', allowed: ['*'] },
  principal_prefix: 'acme|',
  grants: [
    {
      claim: 'realm.roles',
      values: ['chat'],
      scopes: { models: ['gpt-*', '!gpt-secret'] },
      tags: ['people'],
    },
    { claim: 'scope', values: ['tools'], scopes: { servers: ['*'], tools: ['files__*'] } },
    { claim: 'groups', values: ['admins*'], roles: ['auditor'] },
  ],
});

const claims = (more: object = {}) => ({
  sub: 'ada',
  org: 'acme',
  'https://acme.test/team': 'support',
  ...more,
});

function sign(key: Key, payload: Record<string, unknown> = claims(), header: object = {}): Promise<string> {
  const nowSeconds = Math.floor(clock.now() / 1000);
  return new SignJWT({ iss: issuer, aud: 'strata', iat: nowSeconds, exp: nowSeconds + 600, ...payload })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
    .sign(key.privateKey);
}

const ask = (token: string) =>
  deps.authenticate({ authorization: `Bearer ${token}` }).then(
    () => 'accepted',
    (error: { reason: string }) => error.reason,
  );

test('people of several teams are let in, whoever was there before them', async () => {
  await deps.createKey({ tenant: 'acme', principal: 'bot' }); // team and project `default`
  const teams = ['support', 'sales', 'default', 'support'];
  for (const [index, team] of teams.entries()) {
    const token = await sign(first, claims({ sub: `person-${index}`, 'https://acme.test/team': team }));
    expect(await deps.authenticate({ authorization: `Bearer ${token}` })).toMatchObject({
      principal: `acme|person-${index}`,
      team,
      project: team === 'default' ? 'default' : `${team}-default`,
    });
  }
});

test('a token opens the door for its principal, with what its claims grant', async () => {
  const token = await sign(
    first,
    claims({ realm: { roles: ['chat', 'x'] }, scope: 'openid tools', groups: ['admins-eu'] }),
  );
  const caller = await deps.authenticate({ authorization: `Bearer ${token}` });
  expect(caller).toMatchObject({
    tenant: 'acme',
    team: 'support',
    project: 'support-default',
    principal: 'acme|ada',
    principalKind: 'user',
    keyId: undefined,
    roles: ['auditor'],
    isAdmin: false,
    tags: ['people'],
    scopes: { ...noScopes, models: ['gpt-*', '!gpt-secret'], servers: ['*'], tools: ['files__*'] },
  });
  expect(await deps.tree.find({ tenant: 'acme', kind: 'principal', id: 'acme|ada' })).toMatchObject({
    parent: 'support-default',
  });
  expect((await deps.authenticate({ 'x-api-key': token })).principal).toBe('acme|ada');
  const nobody = await deps.authenticate({ authorization: `Bearer ${await sign(first)}` });
  expect(nobody).toMatchObject({ scopes: noScopes, roles: [] });
});

test('[S-2] whatever is not exactly such a token is refused', async () => {
  const stranger = await newKey('first');
  const [header = '', payload = '', signature = ''] = (await sign(first)).split('.');
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const secret = new TextEncoder().encode(JSON.stringify(first.jwk));
  const symmetric = new SignJWT(claims({ iss: issuer, aud: 'strata', exp: 9_999_999_999 }))
    .setProtectedHeader({ alg: 'HS256', kid: 'first' })
    .sign(secret);
  const rsa = await newKey('rsa', 'RS256');
  provider.keys.push(rsa.jwk);
  const wrong: Record<string, string> = {
    'another audience': await sign(first, claims({ aud: 'other' })),
    'another issuer': await sign(first, claims({ iss: 'https://evil.test/' })),
    'an issuer that differs by its end': await sign(first, claims({ iss: issuer.slice(0, -1) })),
    'no expiry': await sign(first, claims({ exp: undefined })),
    'not yet': await sign(first, claims({ nbf: Math.floor(clock.now() / 1000) + 60 })),
    'another signer': await sign(stranger),
    'no signature': `${encode({ alg: 'none' })}.${payload}.`,
    'no signature, with the kid': `${encode({ alg: 'none', kid: 'first' })}.${payload}.${signature}`,
    'a public key taken for a secret': await symmetric,
    'an algorithm that is published but not accepted': await sign(rsa),
    'changed claims': `${header}.${encode(claims({ iss: issuer, aud: 'strata', org: 'blue-x' }))}.${signature}`,
    'a kid that is no text': await sign(first, claims(), { kid: 1 }),
    'an envelope': await sign(first, claims(), { typ: 'strata-envelope+jwt' }),
    'an organisation that is not allowed': await sign(first, claims({ org: 'other' })),
    'an organisation that is none': await sign(first, claims({ org: ['acme'] })),
    'no organisation': await sign(first, claims({ org: undefined })),
    'no principal': await sign(first, claims({ sub: undefined })),
    'a principal without a name': await sign(first, claims({ sub: '' })),
    'a principal that is no id': await sign(first, claims({ sub: 'a b' })),
    nonsense: 'a.b.c',
  };
  for (const [what, token] of Object.entries(wrong)) expect(await ask(token), what).toBe('token_invalid');
  expect(await ask(await sign(first, claims({ exp: Math.floor(clock.now() / 1000) - 60 })))).toBe(
    'token_expired',
  );
  expect(await ask(await sign(first))).toBe('accepted');
});

test('the project of a team with the longest of ids has an id that the admin API takes, and is that of no other team', async () => {
  const projectOf = async (team: string, sub: string) => {
    const token = await sign(first, claims({ sub, 'https://acme.test/team': team }));
    const { project } = await deps.authenticate({ authorization: `Bearer ${token}` });
    return project;
  };
  const start = 'ü'.repeat(199);
  const [one, other] = [await projectOf(`${start}a`, 'ada'), await projectOf(`${start}b`, 'bob')];
  expect(nodeIdSchema.safeParse(one).success).toBe(true);
  expect(other).not.toBe(one);
  expect(await projectOf(`${start}a`, 'eve')).toBe(one);
  expect(await projectOf('x'.repeat(192), 'tom')).toBe(`${'x'.repeat(192)}-default`);
  const key = await deps.createKey({ tenant: 'acme', principal: 'bot', team: `${start}a` });
  expect((await deps.authenticate({ authorization: `Bearer ${key}` })).project).toBe(one);
});

test('whose token is genuine is told which claim is at fault, others nothing', async () => {
  const refusalOf = async (key: Key, payload: object) => {
    const token = await sign(key, claims(payload));
    return deps.authenticate({ authorization: `Bearer ${token}` }).catch((error: unknown) => error);
  };
  const told = await refusalOf(first, { 'https://acme.test/team': undefined });
  expect(told).toMatchObject({ reason: 'token_invalid', details: { claim: 'https://acme.test/team' } });
  expect((told as Error).message).toContain('https://acme.test/team');
  expect(await refusalOf(first, { org: 'other' })).toMatchObject({ details: { claim: 'org' } });
  expect(await refusalOf(first, { sub: '' })).toMatchObject({ details: { claim: 'sub' } });
  const stranger = await refusalOf(await newKey('first'), { org: 'other' });
  expect(stranger).toMatchObject({ reason: 'token_invalid', details: undefined });
});

test('a token without a kid is for the one key that it can be for, published with or without a name', async () => {
  const unnamed = () => sign(first, claims(), { kid: undefined });
  expect(await ask(await unnamed())).toBe('accepted');
  await clock.advance(11 * 60_000);
  const { kid: _kid, ...bare } = first.jwk;
  provider.keys = [bare];
  expect(await ask(await unnamed())).toBe('accepted');
  expect(await ask(await sign(first))).toBe('token_invalid');
  await clock.advance(11 * 60_000);
  provider.keys = [bare, (await newKey('rsa', 'RS256')).jwk];
  expect(await ask(await unnamed())).toBe('accepted');
  await clock.advance(11 * 60_000);
  provider.keys = [bare, (await newKey('second')).jwk];
  expect(await ask(await unnamed()), 'two keys could be meant').toBe('token_invalid');
});

test('two keys of one name and different kinds: the algorithm says which is meant', async () => {
  provider.keys = [{ ...(await newKey('rsa', 'RS256')).jwk, kid: 'first' }, first.jwk];
  expect(await ask(await sign(first))).toBe('accepted');
});

test('an issuer that hangs is waited for once: whoever has a known key goes on', async () => {
  expect(await ask(await sign(first))).toBe('accepted');
  provider.answer = 'never';
  await clock.advance(11 * 60_000);
  const arrived = once(provider.server, 'request');
  const waiting = sign(first, claims({ sub: 'first-to-wait' })).then(ask);
  await arrived;
  await clock.advance(5001);
  expect(await waiting).toBe('accepted');
  await clock.advance(10_000);
  const again = once(provider.server, 'request');
  expect(await ask(await sign(first, claims({ sub: 'second' })))).toBe('accepted'); // no time passes
  await again;
});

test('keys are fetched once, again for an unknown kid, and not more often than the rest allows', async () => {
  for (const name of ['a', 'b', 'c'])
    expect(await ask(await sign(first, claims({ sub: name })))).toBe('accepted');
  expect(provider.fetches).toBe(1);
  await clock.advance(10_000);
  const second = await newKey('second');
  provider.keys = [second.jwk];
  expect(await ask(await sign(second))).toBe('accepted');
  expect(provider.fetches).toBe(2);
  expect(await ask(await sign(first, claims({ sub: 'd' })))).toBe('token_invalid');
  const unknown = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => sign(await newKey(`unknown ${index}`))),
  );
  for (const token of unknown) expect(await ask(token)).toBe('token_invalid');
  expect(provider.fetches).toBe(2);
  await clock.advance(10_000);
  await Promise.all(unknown.map(ask));
  expect(provider.fetches).toBe(3);
});

test('a key that its issuer takes back is not accepted for longer than a set is fresh', async () => {
  const token = await sign(first, claims({ exp: Math.floor(clock.now() / 1000) + 86_400 }));
  expect(await ask(token)).toBe('accepted');
  provider.keys = [];
  await clock.advance(11 * 60_000);
  expect(await ask(token)).toBe('token_invalid');
});

test.each(['too much', 'an error', 'nonsense'] as const)(
  'an issuer that answers with %s: nobody is let in for it; known keys go on for an hour',
  async answer => {
    provider.answer = answer;
    expect(await ask(await sign(first))).toBe('issuer_unavailable');
    await clock.advance(10_000);
    provider.answer = 'keys';
    expect(await ask(await sign(first))).toBe('accepted');
    provider.answer = answer;
    await clock.advance(30 * 60_000);
    expect(await ask(await sign(first))).toBe('accepted');
    await clock.advance(31 * 60_000);
    expect(await ask(await sign(first))).toBe('issuer_unavailable');
    expect((await deps.authenticate({ 'x-api-key': deps.userKey })).principal).toBe('tester');
  },
);

test('an issuer that does not answer is given up after its time, and is asked once for all who wait', async () => {
  provider.answer = 'never';
  const asked = Promise.all(
    [sign(first), sign(first, claims({ sub: 'b' }))].map(async token => ask(await token)),
  );
  const arrived = once(provider.server, 'request');
  await arrived;
  await clock.advance(5001);
  expect(await asked).toEqual(['issuer_unavailable', 'issuer_unavailable']);
  expect(provider.fetches).toBe(1);
});

test('[A12] a principal that is disabled is refused whatever its token says, and one that was moved stays where it is', async () => {
  const token = await sign(first);
  expect(await ask(token)).toBe('accepted');
  const address = { tenant: 'acme', kind: 'principal', id: 'acme|ada' } as const;
  await deps.tree.change(address, { isDisabled: true });
  await clock.advance(1000);
  expect(await ask(token)).toBe('token_invalid');
  await deps.tree.change(address, { isDisabled: false });
  await clock.advance(1000);
  const moved = await sign(first, claims({ 'https://acme.test/team': 'sales' }));
  const caller = await deps.authenticate({ authorization: `Bearer ${moved}` });
  expect(caller.team).toBe('support');
});

test('an envelope of a trusted gateway that shares no store is verified through its JWKS, for its organisations only', async () => {
  const foreign = await createTestDeps({ name: 'agent-gateway', clock });
  const server = createServer(async (_request, response) => {
    response.end(JSON.stringify(await foreign.envelopeKeys.jwks()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const trusting = await createTestDeps({
    name: 'ai-gateway',
    clock,
    config: {
      identity: {
        trusted_gateways: [
          {
            gateway: 'agent-gateway',
            jwks_url: `http://127.0.0.1:${port}/.well-known/jwks.json`,
            allow_private: true,
            organisations: ['acme'],
          },
        ],
      },
    },
  });
  const issue = (tenant: string, audience: 'ai-gateway' | 'mcp-gateway' = 'ai-gateway') =>
    foreign.envelopes.issue(
      {
        tenant,
        team: 't',
        project: 'p',
        subject: 'ada',
        principalKind: 'user',
        keyId: 'key_of_the_other_store',
        tags: [],
        actors: [],
        scopes: noScopes,
        grant: undefined,
        runId: undefined,
        taskId: undefined,
        deadlineAtMs: undefined,
        depth: 2,
      },
      audience,
    );
  const verify = (token: string) =>
    trusting.authenticate({ [envelopeHeader]: token }).then(
      caller => caller.principal,
      (error: { reason: string }) => error.reason,
    );
  expect(await verify(await issue('acme'))).toBe('ada');
  expect(await verify(await issue('default'))).toBe('envelope_invalid');
  expect(await verify(await issue('acme', 'mcp-gateway'))).toBe('envelope_invalid');
  server.closeAllConnections();
  server.close();
  expect(await verify(await issue('acme'))).toBe('ada');
  await trusting.close();
  await foreign.close();
});
