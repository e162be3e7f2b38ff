import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../clock.ts';
import { listenSchema } from '../config/listen.ts';
import { anthropicErrors } from '../errors/anthropic.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { openaiErrors } from '../errors/openai.ts';
import { problemErrors } from '../errors/problem.ts';
import type { Authenticate, Caller } from '../identity/caller.ts';
import { LiveCalls } from '../identity/live-calls.ts';
import { allScopes } from '../identity/scopes.ts';
import { parseJson } from '../json/parse-json.ts';
import { createTelemetry } from '../telemetry/telemetry.ts';
import { telemetrySection } from '../telemetry/telemetry-section.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { createGatewayServer, type GatewayServer, type GatewayServerOptions } from './server.ts';

const servers: GatewayServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.drain()));
});

const caller: Caller = {
  tenant: 't',
  team: 'default',
  project: 'default',
  principal: 'p',
  principalKind: 'user',
  tags: [],
  roles: [],
  keyId: 'k',
  isAdmin: false,
  scopes: allScopes,
  envelope: undefined,
};

async function start(
  config: Record<string, unknown> = {},
  addRoutes: (server: GatewayServer) => void = () => {},
  more: Partial<GatewayServerOptions> = {},
) {
  const server = createGatewayServer({
    name: 'test',
    config: listenSchema({ port: 0 }).parse({ drain_timeout_ms: 200, ...config }),
    telemetry: createTelemetry({
      service: 'test',
      config: telemetrySection.parse({ log_level: 'silent', recent_spans: 10 }),
    }),
    clock: systemClock,
    live: new LiveCalls(),
    authenticate: async headers => {
      if (headers.authorization === 'Bearer user') return caller;
      if (headers.authorization === 'Bearer admin') return { ...caller, isAdmin: true };
      throw new GatewayError('unauthenticated', 'The key is not valid.', { reason: 'key_invalid' });
    },
    errors: problemErrors,
    ...more,
  });
  servers.push(server);
  server.app.post('/v1/echo', { config: { access: 'caller', errors: openaiErrors } }, async request => ({
    body: parseJson(request.body as Buffer),
    principal: request.caller.principal,
  }));
  server.app.post('/v1/messages', { config: { access: 'caller', errors: anthropicErrors } }, async () => ({
    ok: true,
  }));
  server.app.post('/v1/runs/:id::cancel', { config: { access: 'caller' } }, async () => ({ ok: true }));
  server.app.get('/broken', { config: { access: 'public' } }, async () => {
    throw new Error('canary: connection string');
  });
  addRoutes(server);
  const { url } = await server.start();
  return { url, server, port: Number(new URL(url).port) };
}

const post = (url: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    body,
    headers: { authorization: 'Bearer user', 'content-type': 'application/json', ...headers },
  });

/** Writes raw bytes and resolves with everything that comes back until the server ends the connection. */
function raw(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', chunk => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

test('a route that does not say who may call it cannot be registered', async () => {
  await expect(start({}, server => server.app.get('/open', async () => 'x'))).rejects.toThrow(
    'config.access',
  );
});

test('HEAD is answered like GET, without the body, and asks for the same key', async () => {
  const { url } = await start({}, server =>
    server.app.get('/v1/list', { config: { access: 'caller' } }, async () => ({ items: ['ä'] })),
  );
  const head = (path: string, key = 'user') =>
    fetch(url + path, { method: 'HEAD', headers: { authorization: `Bearer ${key}` } });
  const answer = await head('/v1/list');
  const got = await fetch(`${url}/v1/list`, { headers: { authorization: 'Bearer user' } });
  expect([answer.status, await answer.text()]).toEqual([200, '']);
  for (const name of ['content-type', 'content-length'])
    expect(answer.headers.get(name), name).toBe(got.headers.get(name));
  expect((await head('/v1/list', 'wrong')).status).toBe(401);
  expect((await head('/healthz')).status).toBe(200);
  const notAllowed = await fetch(`${url}/v1/list`, { method: 'DELETE' });
  expect([notAllowed.status, notAllowed.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});

test('a path that cannot be read is refused in the shape of its neighbours', async () => {
  const { url } = await start({}, server =>
    server.app.get(
      '/v1/models/:id',
      { config: { access: 'caller', errors: openaiErrors } },
      async () => ({}),
    ),
  );
  for (const path of [
    '/v1/models/%zz',
    '/v1/models/a%00b',
    '/v1/models/a?q=%00',
    `/v1/models/${'x'.repeat(300)}`,
  ]) {
    const answer = await fetch(url + path, { headers: { authorization: 'Bearer user' } });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
    expect(await answer.json()).toMatchObject({ error: { code: 'path_invalid' } });
  }
  const elsewhere = await fetch(`${url}/v1/runs/%zz:cancel`, { method: 'POST' });
  expect(elsewhere.headers.get('content-type')).toContain('application/problem+json');
  expect(await elsewhere.json()).toMatchObject({ reason: 'path_invalid' });
});

test('callers, admins and nobody', async () => {
  const { url } = await start();
  const answer = await post(`${url}/v1/echo`, '{"a":1}');
  expect(await answer.json()).toEqual({ body: { a: 1 }, principal: 'p' });
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  const refused = await post(`${url}/v1/echo`, '{"a":1}', { authorization: 'Bearer wrong' });
  expect([refused.status, ((await refused.json()) as { error: { code: string } }).error.code]).toEqual([
    401,
    'key_invalid',
  ]);
  const traces = (authorization: string) => fetch(`${url}/admin/v1/traces/x`, { headers: { authorization } });
  expect((await traces('Bearer user')).status).toBe(403);
  expect((await traces('Bearer admin')).status).toBe(200);
});

test('[C10] a caller is refused before its body is read', async () => {
  const { port } = await start();
  const text = await raw(
    port,
    'POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n{',
  );
  expect(text).toContain('401 Unauthorized');
});

test('unknown paths and wrong methods, in the shape of the neighbourhood', async () => {
  const { url } = await start();
  const unknown = await post(`${url}/v1/messages/extra`, '{}');
  expect([unknown.status, await unknown.json()]).toMatchObject([
    404,
    { type: 'error', error: { type: 'not_found_error' } },
  ]);
  const wrongMethod = await fetch(`${url}/v1/runs/run_1:cancel`);
  expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'POST']);
  expect((await post(`${url}/v1/runs/run_1:cancel`, '{}')).status).toBe(200);
  expect((await fetch(`${url}/v1//echo`)).status).toBe(404);
});

test('[C31] media types are exact', async () => {
  const { url, port } = await start();
  expect(
    (await post(`${url}/v1/echo`, '{}', { 'content-type': 'application/json; charset=utf-8' })).status,
  ).toBe(200);
  for (const type of [
    'text/plain',
    'application/jsonx',
    'application/json garbage',
    'application/x-www-form-urlencoded',
  ]) {
    expect([type, (await post(`${url}/v1/echo`, '{}', { 'content-type': type })).status]).toEqual([
      type,
      415,
    ]);
  }
  expect((await post(`${url}/v1/echo`, '{}', { 'content-encoding': 'gzip' })).status).toBe(415);
  const request =
    'POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer user\r\nContent-Type: application/json\ta\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}';
  expect(await raw(port, request)).toContain(' 415 ');
});

test('a body over the limit is refused with an answer that the client gets to read', async () => {
  const { url } = await start({ max_body_bytes: 1024 * 1024 });
  const answer = await post(`${url}/v1/echo`, new Uint8Array(30 * 1024 * 1024));
  expect([answer.status, ((await answer.json()) as { error: { code: string } }).error.code]).toEqual([
    413,
    'body_too_large',
  ]);
  const endless = new ReadableStream({
    pull: controller => controller.enqueue(new Uint8Array(64 * 1024)),
  });
  const streamed = await fetch(`${url}/v1/echo`, {
    method: 'POST',
    body: endless.pipeThrough(limitTo(20 * 1024 * 1024)),
    headers: { authorization: 'Bearer user', 'content-type': 'application/json' },
    duplex: 'half',
  } as RequestInit);
  expect(streamed.status).toBe(413);
});

function limitTo(bytes: number): TransformStream<Uint8Array, Uint8Array> {
  let left = bytes;
  return new TransformStream({
    transform(chunk, controller) {
      left -= chunk.length;
      controller.enqueue(chunk);
      if (left <= 0) controller.terminate();
    },
  });
}

test('what is not JSON, or a bomb, is said so', async () => {
  const { url } = await start();
  const codeOf = async (body: string) =>
    ((await (await post(`${url}/v1/echo`, body)).json()) as { error: { code: string } }).error.code;
  expect(await codeOf('{"a":')).toBe('json_syntax');
  expect(await codeOf('['.repeat(100_000))).toBe('json_too_deep');
  expect(await codeOf('{"__proto__":{}}')).toBe('json_forbidden_key');
});

test('[S20] an unforeseen error shows its request id and nothing of itself', async () => {
  const { url } = await start();
  const answer = await fetch(`${url}/broken`);
  const text = await answer.text();
  expect(answer.status).toBe(500);
  expect(text).not.toContain('canary');
  expect(text).toContain(answer.headers.get('x-request-id'));
});

test('[F24] garbage, slow headers and header floods are cut, and the server lives on', async () => {
  const { url, port } = await start({ headers_timeout_ms: 300 });
  expect(await raw(port, new Uint8Array(4096).fill(0x16))).toContain('400 Bad Request');
  expect(
    await raw(port, `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'a'.repeat(20_000)}\r\n\r\n`),
  ).toContain('431');
  expect(await raw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow')).toContain('408');
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test('[S11] a request that two ends could cut differently is refused, and nothing is read behind it', async () => {
  const { port } = await start();
  const heads = [
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Content-Length: 5\r\nContent-Length: 6',
    'Content-Length: +5',
    'Content-Length: 5, 6',
    'Content-Length: 0x5',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding : chunked',
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'X: y\r\n Content-Length: 5',
  ];
  for (const head of heads) {
    const smuggled = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const text = `POST /echo HTTP/1.1\r\nHost: localhost\r\n${head}\r\n\r\n0\r\n\r\n${smuggled}`;
    const answer = await raw(port, text);
    expect(answer, head).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer.match(/HTTP\/1\.1 /g), head).toHaveLength(1);
  }
});

test('[C15] on loopback only loopback names are answered', async () => {
  const { port } = await start();
  const withHost = (host: string) =>
    raw(port, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  expect(await withHost(`localhost:${port}`)).toContain('200 OK');
  expect(await withHost('[::1]')).toContain('200 OK');
  for (const host of ['evil.example', 'localhost/@evil', 'localhost?x', '127.0.0.1.evil.example', '']) {
    expect(await withHost(host), host).toMatch(/ 40[03] /);
  }
});

test('[AI-4] `gone` fires when the client leaves, and not when the answer is complete', async () => {
  const seen: string[] = [];
  let left: () => void = () => {};
  const hasLeft = new Promise<void>(resolve => {
    left = resolve;
  });
  const { url } = await start({}, server => {
    server.app.get('/quick', { config: { access: 'public' } }, async request => {
      request.gone.addEventListener('abort', () => seen.push('quick'));
      return 'x';
    });
    server.app.get('/slow', { config: { access: 'public' } }, (request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200).write('x');
      request.gone.addEventListener('abort', () => {
        seen.push((request.gone.reason as GatewayError).reason);
        left();
      });
    });
  });
  await (await fetch(`${url}/quick`)).text();
  const controller = new AbortController();
  await fetch(`${url}/slow`, { signal: controller.signal });
  controller.abort();
  await hasLeft;
  expect(seen).toEqual(['client_gone']);
});

test('more requests at once than allowed are refused with a hint when to come back; health still answers', async () => {
  let release: () => void = () => {};
  const released = new Promise<void>(resolve => {
    release = resolve;
  });
  let entered: () => void = () => {};
  const hasEntered = new Promise<void>(resolve => {
    entered = resolve;
  });
  const { url } = await start({ max_requests_in_flight: 1 }, server => {
    server.app.post('/wait', { config: { access: 'caller' } }, async () => {
      entered();
      await released;
      return 'done';
    });
  });
  const first = post(`${url}/wait`, '{}');
  await hasEntered;
  const second = await post(`${url}/wait`, '{}');
  expect([second.status, second.headers.get('retry-after')]).toEqual([503, '1']);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  release();
  expect(await (await first).text()).toBe('done');
  expect((await post(`${url}/wait`, '{}')).status).toBe(200);
});

test('readiness names what is failing; metrics name routes, not paths', async () => {
  const { url, server } = await start();
  server.addReadinessCheck('store', async () => {
    throw new Error('down');
  });
  const answer = await fetch(`${url}/readyz`);
  expect([answer.status, await answer.json()]).toEqual([
    503,
    { status: 'not ready', checks: { store: 'failing' } },
  ]);
  await fetch(`${url}/some/unknown/path-42`);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('http_server_request_duration_count');
  expect(metrics).not.toContain('path-42');
});

test('[S7] of a thousand guesses at once ten are looked at; a good key from there goes on, a new one waits shortly', async () => {
  let lookedAt = 0;
  const authenticate: Authenticate = async headers => {
    if (/^Bearer (admin|new)/.test(headers.authorization ?? '')) return caller;
    lookedAt++;
    throw new GatewayError('unauthenticated', 'The key is not valid.', { reason: 'key_invalid' });
  };
  const clock = createManualClock();
  const guarded = { access: 'caller', holdOffGuesses: true, errors: problemErrors } as const;
  const { url } = await start(
    {},
    server => server.app.get('/admin/v1/x', { config: guarded }, async () => ({})),
    { clock: { ...systemClock, monotonic: clock.monotonic, schedule: clock.schedule }, authenticate },
  );
  const ask = async (key: string) =>
    (await fetch(`${url}/admin/v1/x`, { headers: { authorization: `Bearer ${key}` } })).status;
  expect(await ask('admin')).toBe(200);
  const fresh = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`new ${index}`)));
  expect(new Set(fresh)).toEqual(new Set([200]));

  let answered = 0;
  const guess = async (index: number) => {
    const status = await ask(`guess-${index}`);
    answered++;
    return status;
  };
  const guesses = Promise.all(Array.from({ length: 1000 }, (_, index) => guess(index)));
  const inLine = 256;
  await expect.poll(() => answered, { timeout: 50_000 }).toBe(1000 - inLine);
  expect(lookedAt).toBe(5);
  expect(await ask('admin')).toBe(200);
  for (let step = 0; step < 5; step++) await clock.advance(500);
  expect(new Set(await guesses)).toEqual(new Set([401, 429]));
  expect(lookedAt).toBeLessThanOrEqual(10);

  expect(await ask('one more guess')).toBe(401);
  const waiting = ask('new one');
  await clock.pendingReached(2);
  await clock.advance(500);
  expect(await waiting).toBe(200);
});

test('what is refused is told, with who was refused where that is known', async () => {
  const told: string[] = [];
  const { url } = await start(
    {},
    server => server.app.get('/admin/x', { config: { access: 'admin' } }, async () => ({})),
    { onRefused: (request, error) => told.push(`${error.reason} ${request.caller?.principal}`) },
  );
  await fetch(`${url}/admin/x`, { headers: { authorization: 'Bearer user' } });
  await fetch(`${url}/admin/x`, { headers: { authorization: 'Bearer wrong' } });
  await fetch(`${url}/admin/x`, { headers: { authorization: 'Bearer admin' } });
  expect(told).toEqual(['admin_required p', 'key_invalid undefined']);
});
