import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { AdminRoute } from '@strata/shared/admin/admin-route.ts';
import { listEntries } from '@strata/shared/audit/audit-query.ts';
import type { AuditRecord } from '@strata/shared/audit/audit-record.ts';
import { listenSchema } from '@strata/shared/config/listen.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'vitest';

export interface AdminCall {
  readonly key: string;
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface AdminReply {
  readonly status: number;
  readonly etag: string | null;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed, where the answer is JSON. */
  readonly body: Record<string, unknown>;
}

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { content?: Record<string, { schema: object }> }>>;
}

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

/** The admin API over HTTP on real stores. Every answer is checked against the OpenAPI document that is served. */
export interface AdminBench {
  readonly deps: TestDeps;
  readonly url: string;
  readonly openApi: OpenApi;
  call(call: AdminCall): Promise<AdminReply>;
  audited(tenant?: string): Promise<AuditRecord[]>;
  close(): Promise<void>;
}

export async function openAdminBench(
  options: { readonly config?: Record<string, unknown>; readonly more?: readonly AdminRoute[] } = {},
): Promise<AdminBench> {
  const deps = await createTestDeps({ ...(options.config && { config: options.config }) });
  const server = createGatewayServer({
    name: 'test',
    config: listenSchema({ port: 0 }).parse({ drain_timeout_ms: 200 }),
    telemetry: deps.telemetry,
    clock: deps.clock,
    authenticate: deps.authenticate,
    live: deps.live,
    errors: problemErrors,
    onRefused: deps.refusals.recordRequest,
  });
  addAdminApi(server.app, deps, options.more);
  const { url } = await server.start();
  const headers = { authorization: `Bearer ${deps.adminKey}` };
  const openApi = (await (await fetch(`${url}/admin/v1/openapi.json`, { headers })).json()) as OpenApi;
  const check = createAnswerCheck(openApi);
  return {
    deps,
    url,
    openApi,
    async call({ key, method = 'GET', path, body, headers: more = {} }) {
      const response = await fetch(`${url}/admin/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...more,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const type = response.headers.get('content-type') ?? '';
      const parsed = /json(;|$)/.test(type) ? JSON.parse(text) : undefined;
      check({ method, path, status: response.status, type, body: parsed });
      return {
        status: response.status,
        etag: response.headers.get('etag'),
        headers: response.headers,
        text,
        body: parsed ?? {},
      };
    },
    async audited(tenant = 'default') {
      await deps.audit.flush();
      return (await listEntries(deps.sql.db, { tenant }, { limit: 5000 })).map(entry => entry.record);
    },
    async close() {
      await server.drain();
      await deps.close();
    },
  };
}

interface Answered {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
}

function createAnswerCheck(openApi: OpenApi): (answered: Answered) => void {
  const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'document', components: openApi.components });
  const validators = new Map<object, ReturnType<typeof ajv.compile>>();
  return ({ method, path, status, type, body }) => {
    const [name = ''] = path.split('?');
    const operation = findOperation(openApi, method, `/admin/v1${name}`);
    if (operation === undefined) return;
    const answer = operation.responses[String(status)] ?? operation.responses.default;
    if (answer?.content === undefined) return;
    const [media = ''] = type.split(';');
    const schema = answer.content[media]?.schema;
    expect(schema, `${method} ${path} answers ${status} with ${media}`).toBeDefined();
    if (schema === undefined || body === undefined) return;
    const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components'));
    const validate = validators.get(schema) ?? ajv.compile(resolved);
    validators.set(schema, validate);
    expect(validate(body) ? [] : validate.errors, `${method} ${path} ${JSON.stringify(body)}`).toEqual([]);
  };
}

function findOperation(openApi: OpenApi, method: string, path: string): Operation | undefined {
  const exact = openApi.paths[path]?.[method.toLowerCase()];
  if (exact !== undefined) return exact;
  for (const [template, operations] of Object.entries(openApi.paths)) {
    const pattern = new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`);
    const operation = operations[method.toLowerCase()];
    if (pattern.test(path) && operation !== undefined) return operation;
  }
  return undefined;
}
