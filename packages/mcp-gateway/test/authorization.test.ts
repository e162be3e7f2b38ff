import {
  Client as ModernSdkClient,
  StreamableHTTPClientTransport as ModernSdkTransport,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { headersFor, initializeBody } from './raw-client.ts';
import { startGateway, type TestGateway } from './start-gateway.ts';

/** What clients are told to do who come without a token: where the gateway is known as `https://tools.example.com`. */
const publicUrl = 'https://tools.example.com';
const provider = 'https://id.example.com';
const metadata = `${publicUrl}/.well-known/oauth-protected-resource`;

let gateway: TestGateway;

beforeAll(async () => {
  const issuer = {
    issuer: provider,
    audiences: ['strata'],
    jwks_url: `${provider}/jwks`,
    organisation: 'default',
  };
  gateway = await startGateway(
    { public_url: `${publicUrl}/` },
    { config: { identity: { issuers: [issuer] } } },
  );
});

afterAll(() => gateway?.close());

async function challenge(path: string, init: RequestInit = {}): Promise<string | null> {
  const { authorization: _none, ...headers } = headersFor(gateway);
  const response = await fetch(new URL(path, gateway.url), { headers, ...init });
  expect(response.status).toBe(401);
  return response.headers.get('www-authenticate');
}

test('a refused credential is told where the metadata of what it asked for is (RFC 9728)', async () => {
  const body = initializeBody();
  const post = { method: 'POST', body };
  const bearer = 'Bearer realm="strata"';
  expect(await challenge('/mcp', post)).toBe(`${bearer}, resource_metadata="${metadata}/mcp"`);
  expect(await challenge('/mcp/?a=1', post)).toBe(`${bearer}, resource_metadata="${metadata}/mcp"`);
  expect(await challenge('/mcp/readers')).toBe(`${bearer}, resource_metadata="${metadata}/mcp/readers"`);
  expect(await challenge('/mcp/%74eam')).toContain(`resource_metadata="${metadata}/mcp/%74eam"`);
  expect(await challenge('/mcp', { method: 'DELETE' })).toContain(`resource_metadata="${metadata}/mcp"`);
  expect(await challenge('/sse')).toContain(`resource_metadata="${metadata}/sse"`);
  const wrong = { method: 'POST', body, headers: { ...headersFor(gateway), authorization: 'Bearer no' } };
  expect(await challenge('/mcp', wrong)).toBe(
    `${bearer}, error="invalid_token", resource_metadata="${metadata}/mcp"`,
  );
});

/** The world as a client sees it: the gateway under its public name, and an identity provider. */
function worldOf(asked: string[]) {
  return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input);
    asked.push(`${init?.method ?? 'GET'} ${url.href}`);
    if (url.origin === publicUrl) return fetch(new URL(url.pathname + url.search, gateway.url), init);
    if (url.pathname.startsWith('/.well-known/')) {
      return Response.json({
        issuer: provider,
        authorization_endpoint: `${provider}/authorize`,
        token_endpoint: `${provider}/token`,
        response_types_supported: ['code'],
        code_challenge_methods_supported: ['S256'],
      });
    }
    return new Response(undefined, { status: 404 });
  };
}

function oauthClient(sentTo: URL[]) {
  return {
    redirectUrl: 'http://127.0.0.1:1/callback',
    clientMetadata: { redirect_uris: ['http://127.0.0.1:1/callback'], client_name: 'test' },
    clientInformation: () => ({ client_id: 'client', issuer: provider }),
    tokens: () => undefined,
    saveTokens: () => {},
    redirectToAuthorization: (url: URL) => void sentTo.push(url),
    saveCodeVerifier: () => {},
    codeVerifier: () => 'verifier',
  };
}

test.each(['1.x', 'v2'])(
  'the official client %s follows the challenge to the identity provider',
  async version => {
    const asked: string[] = [];
    const sentTo: URL[] = [];
    const options = { authProvider: oauthClient(sentTo), fetch: worldOf(asked) };
    const url = new URL(`${publicUrl}/mcp/readers`);
    const info = { name: 'test', version: '1' };
    const connecting =
      version === '1.x'
        ? new Client(info).connect(new StreamableHTTPClientTransport(url, options))
        : new ModernSdkClient(info).connect(new ModernSdkTransport(url, options));
    await expect(connecting).rejects.toThrow();
    expect(asked.slice(0, 2)).toEqual([`POST ${url.href}`, `GET ${metadata}/mcp/readers`]);
    expect(sentTo.map(({ origin, pathname }) => origin + pathname)).toEqual([`${provider}/authorize`]);
    expect(sentTo[0]?.searchParams.get('resource')).toBe(url.href);
  },
);
