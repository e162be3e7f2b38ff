import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fixedConfig } from '@strata/shared/config/config-source.ts';
import type { GatewayApp, GatewayDeps } from '@strata/shared/gateway-deps.ts';
import type { RouteEntry } from '@strata/shared/http/server.ts';
import { envelopeHeader, type GatewayName } from '@strata/shared/identity/envelope.ts';
import { allScopes } from '@strata/shared/identity/scopes.ts';
import { createLogger } from '@strata/shared/telemetry/logger.ts';
import { createTelemetry, type Telemetry } from '@strata/shared/telemetry/telemetry.ts';
import { telemetrySection } from '@strata/shared/telemetry/telemetry-section.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAgentGateway } from '../packages/agent-gateway/src/app.ts';
import { agentGatewaySection } from '../packages/agent-gateway/src/config.ts';
import { createAiGateway } from '../packages/ai-gateway/src/app.ts';
import { aiGatewaySection } from '../packages/ai-gateway/src/config.ts';
import { createMcpGateway } from '../packages/mcp-gateway/src/app.ts';
import { mcpGatewaySection } from '../packages/mcp-gateway/src/config.ts';

/** Whatever is registered on any gateway is asked here, so that a route cannot be forgotten. */

const listen = { port: 0, drain_timeout_ms: 1000 };
const gateways: Readonly<Record<GatewayName, (deps: GatewayDeps) => Promise<GatewayApp>>> = {
  'ai-gateway': deps =>
    createAiGateway(
      fixedConfig(
        aiGatewaySection.parse({
          listen,
          providers: { main: { type: 'openai', api_key: 'sk-canary-of-the-provider' } },
          models: { chat: { targets: [{ provider: 'main', model: 'gpt-5-mini' }] } },
        }),
      ),
      deps,
    ),
  'mcp-gateway': deps =>
    createMcpGateway(fixedConfig(mcpGatewaySection.parse({ listen, servers: {} })), deps),
  'agent-gateway': deps => createAgentGateway(fixedConfig(agentGatewaySection.parse({ listen })), deps),
};

interface Running {
  readonly name: GatewayName;
  readonly url: string;
  readonly app: GatewayApp;
  readonly deps: TestDeps;
  readonly telemetry: Telemetry;
}

const dataDir = mkdtempSync(join(tmpdir(), 'strata-routes-'));
const running: Running[] = [];
const logs: string[] = [];
const answers: string[] = [];
let sent = 0;
let foreign: string;
let ordinary: string;
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const wrong = `sk-strata-${'canaryx7k2m9q4w8r3t6y1z5a0s2d4f6g8h1j3n5'}`;

beforeAll(async () => {
  for (const [name, create] of Object.entries(gateways) as [GatewayName, (typeof gateways)[GatewayName]][]) {
    const own = await createTestDeps({ name, dataDir });
    const telemetry = createTelemetry({
      service: name,
      config: telemetrySection.parse({ recent_spans: 2000 }),
      log: createLogger({
        service: name,
        level: 'trace',
        destination: { write: line => void logs.push(line) },
      }),
    });
    const app = await create({ ...own, telemetry });
    const { url } = await app.server.start();
    running.push({ name, url, app, deps: own, telemetry });
  }
  const { deps } = first();
  foreign = await deps.createKey({
    tenant: 'other',
    principal: 'mallory',
    roles: ['owner'],
    scopes: allScopes,
  });
  ordinary = await deps.createKey({ principal: 'nobody' });
});
afterAll(async () => {
  for (const { app, deps, telemetry } of running.reverse()) {
    await app.server.drain();
    await app.close();
    await deps.close();
    await telemetry.shutdown();
  }
  rmSync(dataDir, { recursive: true, force: true });
});

function first(): Running {
  const [gateway] = running;
  if (gateway === undefined) throw new Error('no gateway runs');
  return gateway;
}

/** A key, its whole path, and a run of one tenant, whose ids are then asked for under the key of another. */
async function makeThings(): Promise<string[]> {
  const agents = running.find(({ name }) => name === 'agent-gateway');
  if (agents === undefined) throw new Error('agent-gateway does not run');
  const path = {
    tenant: 'org-of-ada',
    team: 'team-of-ada',
    project: 'project-of-ada',
    principal: 'ada-herself',
  };
  const { key, secret } = await agents.deps.keys.create({ name: 'hers', ...path, scopes: allScopes });
  const definition = {
    document: { dsl: '1.0.3', namespace: 'of-ada', name: 'hello', version: '1.0.0' },
    do: [{ say: { set: { text: 'hello' } } }],
  };
  const submitted = await fetch(`${agents.url}/v1/runs?wait=10`, {
    method: 'POST',
    headers: { 'x-api-key': secret.reveal(), 'content-type': 'application/json' },
    body: JSON.stringify({ definition }),
  });
  const run = (await submitted.json()) as { id: string };
  return [run.id, key.id, ...Object.values(path)];
}

/** What a route takes is asked before who sends it. */
function mediaTypeOf(url: string): string {
  const takesForms = /\/(images\/(edits|variations)|audio\/(transcriptions|translations)|v1\/files)$/.test(
    url,
  );
  return takesForms ? 'multipart/form-data; boundary=x' : 'application/json';
}

/** Every request from another address of this machine: who tries many keys from one is made to wait. */
async function send(
  url: string,
  { method, headers, body }: { method: string; headers: Record<string, string>; body: string },
): Promise<{ status: number; headers: IncomingHttpHeaders; text: string }> {
  const number = ++sent;
  const localAddress = `127.1.${number >> 8}.${number & 255 || 1}`;
  const outgoing = request(url, { method, headers, localAddress, agent: false });
  outgoing.end(body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of incoming) text += String(chunk);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text };
}

interface Asked {
  readonly status: number;
  readonly body: string;
}

/** Asks a route with every parameter filled in by `id`; what differs by chance is taken out of the answer. */
async function ask(
  { url: base, name }: Running,
  route: RouteEntry,
  id: string,
  headers: Record<string, string> = {},
): Promise<Asked> {
  const path = route.url
    .replaceAll(/(?<!:):[A-Za-z_]+|\*/g, () => encodeURIComponent(id))
    .replaceAll('::', ':');
  const hasBody = !['GET', 'HEAD'].includes(route.method);
  const answer = await send(`${base}${path}`, {
    method: route.method,
    headers: {
      accept: '*/*',
      traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
      ...headers,
      ...(hasBody && { 'content-type': mediaTypeOf(route.url), 'content-length': '2' }),
    },
    body: hasBody ? '{}' : '',
  });
  const { text } = answer;
  const requestId = String(answer.headers['x-request-id']);
  answers.push(text, JSON.stringify(answer.headers));
  const body = text
    .replaceAll(requestId, '<request>')
    .replaceAll(id, '<id>')
    .replaceAll(encodeURIComponent(id), '<id>');
  return { status: answer.status, body: `${name} ${body}` };
}

const guarded = () =>
  running.flatMap(gateway =>
    gateway.app.server.routes
      .filter(({ access, method }) => access !== 'public' && method !== 'HEAD')
      .map(route => ({ gateway, route, what: `${gateway.name} ${route.method} ${route.url}` })),
  );

test('[S4] every route that is not public is refused without a key and with a wrong one', async () => {
  expect(guarded().length).toBeGreaterThan(20);
  for (const { gateway, route, what } of guarded()) {
    const none = await ask(gateway, route, 'x');
    expect(none.status, what).toBe(401);
    expect(none.body, what).toContain('key_missing');
    for (const headers of [
      { authorization: `Bearer ${wrong}` },
      { 'x-api-key': wrong },
      { authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.' },
    ]) {
      const refused = await ask(gateway, route, 'x', headers);
      expect(refused.status, what).toBe(401);
      expect(refused.body, what).toContain('key_invalid');
    }
    const envelope = await ask(gateway, route, 'x', { [envelopeHeader]: 'eyJhbGciOiJub25lIn0.e30.' });
    expect(envelope.status, what).toBe(401);
  }
});

test('[S4] what is not public is little, and known', () => {
  const open = running.flatMap(({ app }) =>
    app.server.routes.filter(({ access }) => access === 'public').map(({ url }) => url),
  );
  const known = [
    /^\/healthz$/,
    /^\/readyz$/,
    /^\/metrics$/,
    /^\/\.well-known\//,
    /^\/admin\/v1\/openapi\.json$/,
    /hook/,
  ];
  expect(open.filter(url => !known.some(pattern => pattern.test(url)))).toEqual([]);
});

/** What tells nothing but what the admin API is like. */
const documents = new Set(['/admin/v1', '/admin/v1/openapi.json']);

test('[S4] admin routes are refused to a key without a role', async () => {
  const admin = guarded().filter(({ route: { url } }) => url.startsWith('/admin/') && !documents.has(url));
  expect(admin.length).toBeGreaterThan(3);
  for (const { gateway, route, what } of admin) {
    const refused = await ask(gateway, route, 'x', { 'x-api-key': ordinary });
    expect([400, 403, 404, 428], `${what}: ${refused.body}`).toContain(refused.status);
  }
});

test('[S8] [I16] the key of another tenant: what belongs to somebody else is answered exactly like what does not exist', async () => {
  const ids = await makeThings();
  expect(ids).toHaveLength(6);
  for (const { gateway, route, what } of guarded().filter(({ route: { url } }) => /:[a-z]|\*/i.test(url))) {
    for (const id of ids) {
      const absent = id.slice(0, -3) + (id.endsWith('zzz') ? 'yyy' : 'zzz');
      const [theirs, nobodys] = [
        await ask(gateway, route, id, { 'x-api-key': foreign }),
        await ask(gateway, route, absent, { 'x-api-key': foreign }),
      ];
      expect(theirs, `${what} with ${id}`).toEqual(nobodys);
    }
  }
});

function dump(file: string): string {
  const database = new DatabaseSync(file, { readOnly: true });
  const names = database.prepare("select name from sqlite_master where type = 'table'").all();
  const rows = names.flatMap(({ name }) => database.prepare(`select * from "${String(name)}"`).all());
  database.close();
  expect(rows.length).toBeGreaterThan(0);
  return rows.map(row => Object.values(row).map(String).join(' ')).join('\n');
}

test('[I19] [S20] no secret is in any answer, log, trace, metric or table', async () => {
  const secrets = [wrong, foreign, ordinary, 'sk-canary-of-the-provider'];
  for (const { deps } of running) secrets.push(deps.userKey, deps.adminKey);
  const sinks: [string, string][] = [
    ['answers', answers.join('\n')],
    ['logs', logs.join('\n')],
  ];
  for (const { name, telemetry } of running) {
    sinks.push([`metrics of ${name}`, await telemetry.prometheus()]);
    sinks.push([`spans of ${name}`, JSON.stringify(telemetry.recentSpans?.ofTrace(traceId) ?? [])]);
  }
  for (const file of ['strata.sqlite', 'journal.sqlite']) sinks.push([file, dump(join(dataDir, file))]);
  for (const [sink, text] of sinks) {
    for (const secret of secrets)
      expect(text.includes(secret.slice(-24)), `${secret.slice(0, 14)}… in the ${sink}`).toBe(false);
  }
  expect(logs.length + answers.length).toBeGreaterThan(100);
});
