import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorOf, headersFor, initializeBody, openRawClient } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway({ allowed_origins: ['https://app.example.com'] });
});

afterAll(() => gateway?.close());

async function post(body: string | Buffer, headers: Record<string, string | undefined> = {}) {
  const all = { ...headersFor(gateway), ...headers };
  const response = await fetch(gateway.url, {
    method: 'POST',
    headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Record<
      string,
      string
    >,
    body,
  });
  const text = await response.text();
  return { status: response.status, error: errorOf(text), id: JSON.parse(text || '{}').id as unknown, text };
}

test('without a key, or with a wrong one, nothing is answered but the refusal', async () => {
  for (const authorization of [undefined, 'Bearer sk-strata-wrong']) {
    const { status, error } = await post(initializeBody(), { authorization });
    expect(status).toBe(401);
    expect(error).toMatchObject({ code: -32000 });
  }
});

test('a refused credential is challenged, and without identity providers no client is sent after a token', async () => {
  const challenge = async (authorization?: string) => {
    const headers = { ...headersFor(gateway), ...(authorization !== undefined && { authorization }) };
    if (authorization === undefined) delete headers.authorization;
    const response = await fetch(gateway.url, { method: 'POST', headers, body: initializeBody() });
    return response.headers.get('www-authenticate');
  };
  expect(await challenge()).toBe('Bearer realm="strata"');
  expect(await challenge('Bearer sk-strata-wrong')).toBe('Bearer realm="strata", error="invalid_token"');
  const path = '/.well-known/oauth-protected-resource';
  expect((await fetch(new URL(`${path}/mcp`, gateway.url))).status).toBe(404);
});

test('identity providers are named where clients look for them (RFC 9728)', async () => {
  const issuer = {
    issuer: 'https://id.example.com',
    audiences: ['strata'],
    jwks_url: 'https://id.example.com/jwks',
    organisation: 'default',
  };
  const other = await startGateway({}, { config: { identity: { issuers: [issuer] } } });
  try {
    const told = async (path: string, headers = {}) => {
      const url = new URL(`/.well-known/oauth-protected-resource${path}`, other.url);
      return (await fetch(url, { headers })).json();
    };
    const { origin } = other.url;
    expect(await told('/mcp')).toEqual({
      resource: `${origin}/mcp`,
      authorization_servers: ['https://id.example.com'],
      bearer_methods_supported: ['header'],
    });
    expect(await told('')).toMatchObject({ resource: `${origin}/mcp` });
    const claims = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example.com' };
    expect(await told('/mcp/readers', claims)).toMatchObject({ resource: `${origin}/mcp/readers` });
  } finally {
    await other.close();
  }
  const section = { public_url: 'https://tools.example.com/' };
  const known = await startGateway(section, { config: { identity: { issuers: [issuer] } } });
  const url = new URL('/.well-known/oauth-protected-resource/mcp', known.url);
  const { resource } = (await (await fetch(url)).json()) as { resource: string };
  expect(resource).toBe('https://tools.example.com/mcp');
  await known.close();
});

test.each([
  ['not JSON', '{"jsonrpc":', 400, -32700, null],
  ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 400, -32700, null],
  ['no message', '42', 400, -32600, null],
  ['an empty batch', '[]', 400, -32600, null],
  ['no version', '{"id":3,"method":"ping"}', 400, -32600, 3],
  [
    'nested too deep',
    `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(100)}${']'.repeat(100)}}}`,
    400,
    -32600,
    null,
  ],
  ['two methods', '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', 400, -32600, null],
  ['no session', '{"jsonrpc":"2.0","id":"q","method":"tools/list"}', 400, -32600, 'q'],
  [
    'initialize without a client',
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
    400,
    -32602,
    1,
  ],
])('bad input is told in JSON-RPC, in the caller’s id: %s', async (_name, body, status, code, id) => {
  expect(await post(body)).toMatchObject({ status, error: { code }, id });
});

test('an unknown method is -32601, in the id it was asked under', async () => {
  const client = await openRawClient(gateway);
  const [answer] = await client.ask('{"jsonrpc":"2.0","id":"u","method":"toString"}');
  expect(JSON.parse(answer ?? '')).toMatchObject({ id: 'u', error: { code: -32601 } });
});

test('a body of 33 MB is refused, and the gateway goes on', async () => {
  const huge = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"${'x'.repeat(33 * 1024 * 1024)}"}}`;
  expect(await post(huge)).toMatchObject({ status: 413, error: { data: { reason: 'body_too_large' } } });
  expect(await post(initializeBody())).toMatchObject({ status: 200 });
});

test('scripts of invited pages can call and read, those of others neither', async () => {
  const ask = (origin: string, wanted: string) =>
    fetch(gateway.url, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': wanted,
        'access-control-request-headers': 'authorization,content-type,mcp-param-region',
      },
    });
  const invited = await ask('https://app.example.com', 'POST');
  expect(invited.status).toBe(204);
  expect(Object.fromEntries(invited.headers)).toMatchObject({
    'access-control-allow-origin': 'https://app.example.com',
    'access-control-allow-methods': 'POST, GET, DELETE',
    'access-control-allow-headers': 'authorization,content-type,mcp-param-region',
    vary: 'Origin, Access-Control-Request-Headers',
  });
  for (const [origin, method] of [
    ['https://evil.example', 'POST'],
    ['https://app.example.com', 'PUT'],
  ] as const) {
    const refused = await ask(origin, method);
    expect(refused.status).toBe(405);
    expect(refused.headers.get('access-control-allow-origin')).toBeNull();
  }
  const headers = { ...headersFor(gateway), origin: 'https://app.example.com' };
  const opened = await fetch(gateway.url, { method: 'POST', headers, body: initializeBody() });
  expect(opened.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
  expect(opened.headers.get('access-control-expose-headers')).toContain('mcp-session-id');
  const unknown = await fetch(gateway.url, { method: 'POST', headers: { ...headers, authorization: '' } });
  expect(unknown.status).toBe(401);
  expect(unknown.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
});

test('a slash at the end of the address changes nothing', async () => {
  const url = new URL(`${gateway.url.pathname}/`, gateway.url);
  const opened = await fetch(url, { method: 'POST', headers: headersFor(gateway), body: initializeBody() });
  const id = opened.headers.get('mcp-session-id') ?? '';
  const headers = { ...headersFor(gateway), 'mcp-session-id': id };
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  for (const address of [url, gateway.url]) {
    expect((await fetch(address, { method: 'POST', headers, body })).status).toBe(200);
  }
});

test('[era detection (down)] a client of the newest revision that opens a stream learns that there is none', async () => {
  for (const method of ['GET', 'DELETE']) {
    const headers = { ...headersFor(gateway), 'mcp-protocol-version': '2026-07-28' };
    const refused = await fetch(gateway.url, { method, headers });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
    expect(await refused.json()).toMatchObject({ error: { data: { reason: 'method_not_allowed' } } });
  }
});

test('[security headers][M7] pages of other origins are refused, invited and local ones are not', async () => {
  for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'file://']) {
    expect(await post(initializeBody(), { origin }), origin).toMatchObject({
      status: 403,
      error: { data: { reason: 'origin_not_allowed' } },
    });
  }
  for (const origin of ['https://app.example.com', 'http://localhost:6274', 'http://127.0.0.1']) {
    expect(await post(initializeBody(), { origin }), origin).toMatchObject({ status: 200 });
  }
});

test('[security headers][M7] a foreign Host is refused', async () => {
  const { port } = gateway.url;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const request = httpRequest(
      { port, path: '/mcp', method: 'POST', headers: { ...headersFor(gateway), host: 'rebound.example' } },
      response => resolve(response.resume().statusCode),
    );
    request.on('error', reject);
    request.end(initializeBody());
  });
  expect(status).toBe(403);
});

test('[era detection (down)] a client of a later revision gets the error it knows, and a list to fall back on', async () => {
  const version = '2099-01-01';
  const discover = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'server/discover',
    params: { _meta: { 'io.modelcontextprotocol/protocolVersion': version } },
  });
  const later = { 'mcp-protocol-version': version, 'mcp-method': 'server/discover' };
  expect(await post(discover, later)).toMatchObject({
    status: 400,
    id: 1,
    error: {
      code: -32022,
      data: { supported: expect.arrayContaining(['2026-07-28', '2025-11-25']), requested: version },
    },
  });
  expect(await post(discover, { 'mcp-method': 'server/discover' })).toMatchObject({
    status: 400,
    error: { code: -32020 },
  });
  expect(await post(discover)).toMatchObject({ status: 400, error: { code: -32020 } });
});

test('[version negotiation] an unknown version header is refused inside a session, a missing one is not', async () => {
  const client = await openRawClient(gateway);
  const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  expect((await client.post(ping, { headers: { 'mcp-protocol-version': '1999-01-01' } })).status).toBe(400);
  for (const version of ['2025-03-26', '2025-06-18', '2025-11-25']) {
    expect((await client.post(ping, { headers: { 'mcp-protocol-version': version } })).status).toBe(200);
  }
});

test('[version negotiation] the version is what the client asked for, or the newest one', async () => {
  for (const [asked, given] of [
    ['2025-03-26', '2025-03-26'],
    ['2025-06-18', '2025-06-18'],
    ['2024-11-05', '2024-11-05'],
    ['2199-01-01', '2025-11-25'],
  ] as const) {
    const { text } = await post(initializeBody({ version: asked }));
    expect(JSON.parse(text).result.protocolVersion).toBe(given);
  }
});

test('an answer of a type the client does not take is refused', async () => {
  expect(await post(initializeBody(), { accept: 'text/html' })).toMatchObject({ status: 406 });
  const client = await openRawClient(gateway);
  expect((await client.get({ headers: { accept: 'application/json' } })).status).toBe(406);
});

test('messages of a client that concern nothing get 202 and are counted', async () => {
  const client = await openRawClient(gateway);
  for (const body of [
    '{"jsonrpc":"2.0","id":"strata-1","result":{}}',
    '{"jsonrpc":"2.0","id":77,"error":{"code":1,"message":"x"}}',
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    '{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    '{"jsonrpc":"2.0","method":"notifications/nothing"}',
  ]) {
    expect((await client.post(body)).status).toBe(202);
  }
  expect(await gateway.prometheus()).toMatch(/strata_mcp_ignored_messages\S* 5/);
});

test('other methods of HTTP are told what is allowed', async () => {
  const response = await fetch(gateway.url, { method: 'PUT', headers: headersFor(gateway) });
  expect(response.status).toBe(405);
  expect(response.headers.get('allow')).toContain('POST');
});
