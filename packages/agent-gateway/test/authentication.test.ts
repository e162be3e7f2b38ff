import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answerChallenge, readChallenge } from '../src/tasks/authentication/digest.ts';
import { definitionOf, startGateway, type TestGateway } from './support/gateway.ts';
import { type FarEnd, type Received, startFarEnd } from './support/http-far-end.ts';

/** Credentials of `call: http` and `call: openapi` against services that check them, and where secrets may and may not go. */

let service: FarEnd;
let elsewhere: FarEnd;
let gateway: TestGateway;
let tokens: Received[];
let validToken = 'token-1';

const hash = (text: string) => createHash('sha256').update(text).digest('hex');

/** As a server does it (RFC 7616): from what the client says, and the password that both know. */
function isDigestOf({ method, path, headers }: Received, user: string, password: string): boolean {
  const values = Object.fromEntries(
    [...String(headers.authorization).matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)].map(
      ([, name, quoted, bare]) => [name, quoted ?? bare],
    ),
  );
  const secret = hash(`${user}:vault:${password}`);
  const action = hash(`${method}:${path}`);
  const wanted = hash(`${secret}:n0nce:${values.nc}:${values.cnonce}:auth:${action}`);
  return values.response === wanted && values.uri === path && values.opaque === 'op';
}

beforeAll(async () => {
  elsewhere = await startFarEnd((_request, response) => void response.end('{}'));
  service = await startFarEnd((request, response) => {
    const { path, headers } = request;
    const { authorization } = headers;
    response.setHeader('content-type', 'application/json');
    if (path === '/oauth2/token' || path === '/connect/token') {
      tokens.push(request);
      const isKnown = new URLSearchParams(request.body).get('client_secret') === 'c1ient-s3cret';
      if (!isKnown) return void response.writeHead(401).end('{"error":"invalid_client"}');
      const body = { access_token: validToken, token_type: 'bearer', expires_in: 3600 };
      return void response.end(JSON.stringify(body));
    }
    if (path === '/.well-known/openid-configuration') {
      const issuer = service.url;
      return void response.end(
        JSON.stringify({ issuer, token_endpoint: `${issuer}/connect/token`, jwks_uri: `${issuer}/keys` }),
      );
    }
    if (path === '/told') {
      const [, shown = ''] = authorization?.split(' ') ?? [];
      const told = [authorization, Buffer.from(shown, 'base64').toString('latin1')];
      return void response.setHeader('x-seen', String(authorization)).end(JSON.stringify({ told }));
    }
    const isAllowed =
      path === '/echo' ||
      authorization === `Basic ${Buffer.from('ann:pa55').toString('base64')}` ||
      authorization === 'Bearer api-k3y' ||
      authorization === `Bearer ${validToken}` ||
      (authorization?.startsWith('Digest ') === true && isDigestOf(request, 'ann', 'pa55'));
    if (isAllowed) return void response.end(JSON.stringify({ path }));
    response
      .writeHead(401, {
        'www-authenticate': 'Digest realm="vault", nonce="n0nce", opaque="op", algorithm=SHA-256, qop="auth"',
      })
      .end();
  });
  const hosts = [new URL(service.url).host];
  const workflows = ['test/*'];
  gateway = await startGateway({
    config: {
      secrets: {
        user: { value: { username: 'ann', password: 'pa55' }, hosts, workflows },
        long: { value: { username: 'ann', password: 'correct horse' }, hosts, workflows },
        api: { value: 'api-k3y', hosts, workflows },
        client: {
          value: {
            authority: service.url,
            grant: 'client_credentials',
            client_id: 'strata',
            client_secret: 'c1ient-s3cret',
            scopes: 'read write',
          },
          hosts,
          workflows,
        },
        of_others: { value: 'not-yours', hosts, workflows: ['other/*'] },
        of_others_too: { value: 'not-yours', hosts, workflows, organisations: ['acme'] },
      },
    },
  });
});
beforeEach(() => {
  tokens = [];
});
afterAll(async () => {
  await gateway.close();
  await service.close();
  await elsewhere.close();
});

interface Shown {
  readonly id: string;
  readonly status: string;
  readonly output?: unknown;
  readonly error?: { readonly reason: string; readonly detail: string };
}

async function call(
  authentication: unknown,
  { path = '/data', secrets = [] as string[], input = {}, at = service.url, output = 'content' } = {},
): Promise<Shown> {
  const uri = `${at}${path}`;
  const definition = definitionOf(
    [{ it: { call: 'http', with: { method: 'get', endpoint: { uri, authentication }, output } } }],
    { use: { secrets } },
  );
  return (await gateway.call('POST', '/v1/runs?wait=20', { body: { definition, input } })).body;
}

/** All that anybody may see of a run. */
async function everythingOf(id: string): Promise<string> {
  const parts = await Promise.all(
    ['', '/timeline', '/events?after=0'].map(
      async part => (await gateway.call('GET', `/v1/runs/${id}${part}`)).body,
    ),
  );
  return JSON.stringify(parts);
}

describe('schemes', () => {
  test.each([
    ['basic', { basic: { use: 'user' } }, 'user'],
    ['bearer', { bearer: { use: 'api' } }, 'api'],
    ['bearer, as an expression', { bearer: { token: '${ $secrets.api }' } }, 'api'],
    [
      'basic, field by field',
      { basic: { username: 'ann', password: '${ $secrets.user.password }' } },
      'user',
    ],
    ['digest', { digest: { use: 'user' } }, 'user'],
    ['oauth2', { oauth2: { use: 'client' } }, 'client'],
    ['oidc', { oidc: { use: 'client' } }, 'client'],
  ])('%s with a secret, which no record holds', async (_name, authentication, secret) => {
    const run = await call(authentication, { secrets: [secret] });
    expect(run).toMatchObject({ status: 'completed', output: { path: '/data' } });
    const seen = await everythingOf(run.id);
    for (const text of ['pa55', 'api-k3y', 'c1ient-s3cret', validToken]) expect(seen).not.toContain(text);
  });

  test.each([
    ['basic', { basic: { use: 'long' } }, 'long', ['correct horse', 'YW5uOmNvcnJlY3QgaG9yc2U=']],
    ['bearer', { bearer: { use: 'api' } }, 'api', ['api-k3y']],
    ['oauth2', { oauth2: { use: 'client' } }, 'client', ['token-']],
  ])(
    '%s: a service that tells what it was shown writes no secret into a record',
    async (_name, authentication, secret, texts) => {
      for (const output of ['content', 'response', 'raw']) {
        const run = await call(authentication, { secrets: [secret], path: '/told', output });
        expect(run.status).toBe('completed');
        const raw = Buffer.from(String(run.output), 'base64').toString('latin1');
        const seen = `${await everythingOf(run.id)} ${raw}`;
        for (const text of texts) expect(seen).not.toContain(text);
      }
    },
  );

  test('oauth2 asks for a token as the definition says, once for all calls, and again when it is refused', async () => {
    const authentication = {
      oauth2: {
        authority: service.url,
        grant: 'client_credentials',
        client: { id: 'mine', secret: '${ $secrets.client.client_secret }' },
        scopes: ['a', 'b'],
        audiences: ['pets', 'shop'],
        endpoints: { token: '/connect/token' },
      },
    };
    const options = { secrets: ['client'] };
    expect((await call(authentication, options)).status).toBe('completed');
    expect((await call(authentication, options)).status).toBe('completed');
    expect(tokens).toHaveLength(1);
    const [{ path, headers, body }] = tokens as [Received];
    expect([path, headers['content-type']]).toEqual([
      '/connect/token',
      expect.stringContaining('application/x-www-form-urlencoded'),
    ]);
    const sent = new URLSearchParams(body);
    expect(Object.fromEntries(sent)).toMatchObject({
      grant_type: 'client_credentials',
      client_id: 'mine',
      scope: 'a b',
    });
    expect(sent.getAll('audience')).toEqual(['pets', 'shop']);
    validToken = 'token-2';
    expect((await call(authentication, options)).status).toBe('completed');
    expect(tokens).toHaveLength(2);
  });

  test('an authority that refuses the client fails the task, and says no more than that', async () => {
    const run = await call({
      oauth2: { authority: service.url, grant: 'client_credentials', client: { id: 'a', secret: 'wr0ng' } },
    });
    expect(run).toMatchObject({ status: 'failed', error: { reason: 'token_refused' } });
    expect(run.error?.detail).not.toContain('wr0ng');
  });

  test('credentials from data work as before', async () => {
    const run = await call(
      { basic: { username: '${ .user }', password: '${ .word }' } },
      { input: { user: 'ann', word: 'pa55' } },
    );
    expect(run.status).toBe('completed');
  });
});

describe('secrets stay where they belong', () => {
  test('a host that a secret is not for never sees it, whoever asks', async () => {
    const before = elsewhere.received.length;
    const run = await call({ bearer: { use: 'api' } }, { secrets: ['api'], at: elsewhere.url });
    expect(run).toMatchObject({ status: 'failed', error: { reason: 'secret_not_allowed' } });
    const oauth2 = {
      authority: elsewhere.url,
      grant: 'client_credentials',
      client: { id: 'a', secret: '${ $secrets.client.client_secret }' },
    };
    expect(await call({ oauth2 }, { secrets: ['client'] })).toMatchObject({
      error: { reason: 'secret_not_allowed' },
    });
    expect(elsewhere.received.length).toBe(before);
  });

  test('workflows and organisations that it is not for get the answer of one that is not there', async () => {
    const answers = await Promise.all(
      ['of_others', 'of_others_too', 'nobodys'].map(name =>
        call({ bearer: { use: name } }, { secrets: [name] }),
      ),
    );
    const said = answers.map(({ error }) =>
      error?.detail.replaceAll(/of_others_too|of_others|nobodys/g, 'X'),
    );
    expect(new Set(said).size).toBe(1);
    expect(answers.every(({ error }) => error?.reason === 'secret_not_allowed')).toBe(true);
  });

  test('data that looks like a reference is no reference', async () => {
    const run = await call(
      { bearer: { token: '${ .token }' } },
      { input: { token: { secret: 'api' } }, path: '/echo' },
    );
    expect(run.status).toBe('completed');
    expect(service.received.at(-1)?.headers.authorization).toBe('Bearer {"secret":"api"}');
  });

  test('expressions elsewhere, names that are not declared and grants with a browser are refused at submission', async () => {
    const mistakesOf = async (tasks: unknown, use: Record<string, unknown> = {}) => {
      const { body } = await gateway.call('POST', '/v1/workflows:validate', {
        body: definitionOf(tasks, { use }),
      });
      return Object.fromEntries(
        (body.errors ?? []).map((each: { pointer: string; message: string }) => [each.pointer, each.message]),
      );
    };
    const http = (authentication: unknown) => [
      { it: { call: 'http', with: { method: 'get', endpoint: { uri: 'http://x/', authentication } } } },
    ];
    const secrets = ['api'];
    expect(await mistakesOf([{ leak: { set: { x: '${ $secrets.api }' } } }], { secrets })).toMatchObject({
      '/do/0/leak/set/x': expect.stringContaining('whole value'),
    });
    expect(
      await mistakesOf(http({ bearer: { token: '${ "Bearer " + $secrets.api }' } }), { secrets }),
    ).toMatchObject({
      '/do/0/it/with/endpoint/authentication/bearer': expect.stringContaining('whole value'),
    });
    expect(await mistakesOf(http({ bearer: { use: 'api' } }))).toMatchObject({
      '/do/0/it/with/endpoint/authentication': expect.stringContaining('use.secrets'),
    });
    const oauth2 = { authority: 'http://x', grant: 'authorization_code', client: { id: 'a' } };
    expect(JSON.stringify(await mistakesOf(http({ oauth2 })))).toContain('browser');
  });
});

describe('Digest, with the values of RFC 7616 section 3.9.1', () => {
  const header =
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
  const request = { method: 'GET', path: '/dir/index.html', username: 'Mufasa', password: 'Circle of Life' };
  const clientNonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';

  test.each([
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
  ])('%s', (algorithm, response) => {
    const challenge = readChallenge(header.replace('SHA-256', algorithm));
    if (challenge === undefined) throw new Error('Not read');
    const answer = answerChallenge(challenge, request, clientNonce);
    expect(answer).toContain(`response="${response}"`);
    expect(answer).toContain('opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"');
  });

  test('the strongest that can be answered is taken; others are passed over', () => {
    const both = `Basic realm="a", ${header.replace('SHA-256', 'MD5')}, ${header}`;
    expect(readChallenge(both)?.algorithm).toBe('SHA-256');
    expect(readChallenge('Digest realm="a", nonce="b", algorithm=SHA-512-256')).toBeUndefined();
    expect(readChallenge('Digest realm="a", nonce="b", qop="auth-int"')).toBeUndefined();
    expect(readChallenge('Basic realm="a"')).toBeUndefined();
    expect(readChallenge(undefined)).toBeUndefined();
  });
});
