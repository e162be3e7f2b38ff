import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { listenSchema } from '../config/listen.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { openaiErrors } from '../errors/openai.ts';
import { problemErrors } from '../errors/problem.ts';
import type { Caller } from '../identity/caller.ts';
import { LiveCalls } from '../identity/live-calls.ts';
import { allScopes } from '../identity/scopes.ts';
import { createTelemetry } from '../telemetry/telemetry.ts';
import { telemetrySection } from '../telemetry/telemetry-section.ts';
import type { DirectRequest } from './direct-request.ts';
import type { RefusedRequest } from './render-refusal.ts';
import { sendBytes } from './send-whole.ts';
import { createGatewayServer, type GatewayServer } from './server.ts';

const servers: GatewayServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.drain()));
});

const caller: Caller = {
  ...{ tenant: 't', team: 'default', project: 'default', principal: 'p', principalKind: 'user', keyId: 'k' },
  ...{ tags: [], roles: [], isAdmin: false, scopes: allScopes, envelope: undefined },
};

/** Says what it was asked. */
async function echo(request: DirectRequest): Promise<void> {
  const { method, url, params, query, body, replyHeaders: headers } = request;
  const said = { method, url, params, query, body: body.toString(), principal: request.caller.principal };
  sendBytes(request.response, 200, { headers: { ...headers }, body: Buffer.from(JSON.stringify(said)) });
}

async function another({ response }: DirectRequest): Promise<void> {
  sendBytes(response, 200, { headers: {}, body: Buffer.from('{"by":"another"}') });
}

async function start(
  config: Record<string, unknown> = {},
  handle: (request: DirectRequest) => Promise<void> = echo,
) {
  const refused: [RefusedRequest, GatewayError][] = [];
  const live = new LiveCalls();
  const server = createGatewayServer({
    name: 'test',
    config: listenSchema({ port: 0 }).parse({ drain_timeout_ms: 200, ...config }),
    telemetry: createTelemetry({
      service: 'test',
      config: telemetrySection.parse({ log_level: 'silent', recent_spans: 10 }),
    }),
    clock: systemClock,
    live,
    acceptsHttp2: true,
    authenticate: async ({ authorization, 'x-goog-api-key': key }) => {
      if (authorization === 'Bearer user' || key === 'user') return caller;
      throw new GatewayError('unauthenticated', 'The key is not valid.', { reason: 'key_invalid' });
    },
    errors: problemErrors,
    onRefused: (request, error) => refused.push([request, error]),
  });
  servers.push(server);
  server.addDirect({ methods: ['POST'], url: '/v1/echo', errors: openaiErrors, handle });
  const named = { url: '/v1/named/:name/*', errors: openaiErrors, queryKey: 'key', handle } as const;
  server.addDirect({ methods: ['GET', 'POST', 'DELETE'], mediaTypes: ['text/plain'], ...named });
  const two = { url: '/v1/two/:id', errors: openaiErrors };
  server.addDirect({ methods: ['GET'], ...two, handle });
  server.addDirect({ methods: ['DELETE'], ...two, handle: another });
  server.app.get('/v1/echo/:id', { config: { access: 'caller', errors: openaiErrors } }, async () => ({
    by: 'fastify',
  }));
  const { url } = await server.start();
  return { url, server, refused, live };
}

const post = (url: string, body: string, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    body,
    headers: { authorization: 'Bearer user', 'content-type': 'application/json', ...headers },
  });

/** The machine-readable word of an error in the shape of OpenAI. */
async function codeOf(answer: Response): Promise<unknown> {
  const { error } = (await answer.json()) as { error: { code: string } };
  return [answer.status, error.code];
}

test('a request comes with its caller, its body, what its path says and its query', async () => {
  const { url } = await start();
  const answer = await post(`${url}/v1/echo?a=1&b=%20x`, '{"a":1}');
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  expect(await answer.json()).toEqual({
    ...{ method: 'POST', url: '/v1/echo?a=1&b=%20x', params: {}, query: { a: '1', b: ' x' } },
    ...{ body: '{"a":1}', principal: 'p' },
  });
  const named = await fetch(`${url}/v1/named/o%2Fne/models/a:b?key=user`, { method: 'GET' });
  expect(await named.json()).toMatchObject({ params: { name: 'o/ne', '*': 'models/a:b' }, body: '' });
  expect(await (await post(`${url}/v1/%65cho`, 'x')).json()).toMatchObject({ body: 'x' });
});

test('a path that comes again leads where it led, by each of its methods and with each of its queries', async () => {
  const { url } = await start();
  const headers = { authorization: 'Bearer user' };
  for (let round = 0; round < 2; round++)
    for (const id of ['one', 'two'])
      for (const a of ['1', '2', undefined]) {
        const path = `${url}/v1/two/${id}${a === undefined ? '' : `?a=${a}`}`;
        const query = a === undefined ? {} : { a };
        const got = await (await fetch(path, { headers })).json();
        expect(got).toMatchObject({ method: 'GET', params: { id }, query });
        const removed = await fetch(path, { method: 'DELETE', headers });
        expect(await removed.json()).toEqual({ by: 'another' });
      }
});

test('what no direct route was made for is answered as ever, and its neighbours are known', async () => {
  const { url, server } = await start();
  const authorization = 'Bearer user';
  const other = await fetch(`${url}/v1/echo/7`, { headers: { authorization } });
  expect(await other.json()).toEqual({ by: 'fastify' });
  const wrong = await fetch(`${url}/v1/echo`, { headers: { authorization } });
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
  expect(await codeOf(await post(`${url}/v1/echo/x/y`, '{}'))).toEqual([404, 'unknown_route']);
  expect(server.routes).toContainEqual({ method: 'DELETE', url: '/v1/named/:name/*', access: 'caller' });
});

test('[C10] the door is that of every request: key before body, host, media type, size, length of names', async () => {
  const { url, refused } = await start({ max_body_bytes: 2000 });
  const { port } = new URL(url);
  const wrongKey = connect(Number(port), '127.0.0.1');
  wrongKey.write(
    'POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{',
  );
  const [head] = (await once(wrongKey, 'data')) as [Buffer];
  expect(head.toString()).toContain('HTTP/1.1 401'); // although the body never comes
  wrongKey.destroy();
  expect(refused[0]?.[0]).toMatchObject({ caller: undefined, routeOptions: { url: '/v1/echo' } });
  const foreign = connect(Number(port), '127.0.0.1');
  foreign.write('POST /v1/echo HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 0\r\n\r\n');
  expect(String(await once(foreign, 'data'))).toContain('host_not_allowed');
  foreign.destroy();
  expect(await codeOf(await post(`${url}/v1/echo`, 'x', { 'content-type': 'text/plain' }))).toEqual([
    415,
    'media_type_unsupported',
  ]);
  const large = await post(`${url}/v1/echo`, 'x'.repeat(2001));
  expect(large.headers.get('connection')).toBe('close');
  expect(await codeOf(large)).toEqual([413, 'body_too_large']);
  expect(await codeOf(await post(`${url}/v1/named/${'x'.repeat(257)}/y`, ''))).toEqual([400, 'path_invalid']);
});

test('a body in pieces without a length is held to the same limit', async () => {
  const { url } = await start({ max_body_bytes: 2000 });
  const pieces = (size: number) =>
    fetch(`${url}/v1/echo`, {
      method: 'POST',
      duplex: 'half',
      headers: { authorization: 'Bearer user', 'content-type': 'application/json' },
      body: new ReadableStream({
        start(controller) {
          for (let sent = 0; sent < size; sent += 100) controller.enqueue(Buffer.alloc(100, 'x'));
          controller.close();
        },
      }),
    });
  expect(await (await pieces(2000)).json()).toMatchObject({ body: 'x'.repeat(2000) });
  expect(await codeOf(await pieces(2100))).toEqual([413, 'body_too_large']);
});

test('over HTTP/2 a body needs no length', async () => {
  const { url } = await start();
  const session = connectHttp2(url);
  const ask = async (headers: Record<string, string>, body: string) => {
    const stream = session.request({
      ...{ ':method': 'POST', ':path': '/v1/echo', authorization: 'Bearer user' },
      ...{ 'content-type': 'application/json', ...headers },
    });
    stream.end(body);
    const [answer] = (await once(stream, 'response')) as [Record<string, string | number>];
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return { status: answer[':status'], text };
  };
  expect(await ask({}, '{"a":1}')).toMatchObject({
    status: 200,
    text: expect.stringContaining('{\\"a\\":1}'),
  });
  session.destroy();
});

test('[AI-4] `gone` fires when the client leaves, whoever was watched is forgotten, and its place is free again', async () => {
  let seen: DirectRequest | undefined;
  const arrived = Promise.withResolvers<void>();
  const left = Promise.withResolvers<unknown>();
  const { url, live } = await start({ max_requests_in_flight: 1 }, async request => {
    if (request.body.toString() === 'quick') return echo(request);
    seen = request;
    request.gone.addEventListener('abort', () => left.resolve(request.gone.reason));
    arrived.resolve();
    return left.promise.then(() => {});
  });
  const leaving = new AbortController();
  const asked = fetch(`${url}/v1/echo`, {
    ...{ method: 'POST', body: 'slow', signal: leaving.signal },
    headers: { authorization: 'Bearer user', 'content-type': 'application/json' },
  });
  await arrived.promise;
  expect(live.size).toBe(1);
  expect(await codeOf(await post(`${url}/v1/echo`, 'quick'))).toEqual([503, 'too_many_requests_in_flight']);
  leaving.abort();
  await expect(asked).rejects.toThrow();
  expect(await left.promise).toMatchObject({ reason: 'client_gone' });
  await expect.poll(() => live.size).toBe(0);
  expect((await post(`${url}/v1/echo`, 'quick')).status).toBe(200);
  expect(seen?.gone.aborted).toBe(true);
});

test('[S20] an unforeseen error shows its request id and nothing of itself; in the middle of an answer it ends it', async () => {
  const { url } = await start({}, async ({ body, response }) => {
    if (body.toString() === 'late') response.writeHead(200).write('begun');
    throw new Error('canary: connection string');
  });
  const answer = await post(`${url}/v1/echo`, '{}');
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain('canary');
  await expect(post(`${url}/v1/echo`, 'late').then(late => late.text())).rejects.toThrow();
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });
});

test('metrics name the route, never the path', async () => {
  const { url } = await start();
  await post(`${url}/v1/named/secret/x`, 'x', { 'content-type': 'text/plain' });
  await expect
    .poll(async () => (await fetch(`${url}/metrics`)).text())
    .toContain('http_route="/v1/named/:name/*"');
  expect(await (await fetch(`${url}/metrics`)).text()).not.toContain('secret');
});
