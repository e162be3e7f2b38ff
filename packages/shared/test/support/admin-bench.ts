import { addAdminApi } from '@strata/shared/admin/admin-api.ts';
import type { AdminRoute } from '@strata/shared/admin/admin-route.ts';
import { listEntries } from '@strata/shared/audit/audit-query.ts';
import type { AuditRecord } from '@strata/shared/audit/audit-record.ts';
import { listenSchema } from '@strata/shared/config/listen.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import { createGatewayServer } from '@strata/shared/http/server.ts';
import { createAnswerCheck, type OpenApi } from '@strata/shared/testing/answer-check.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';

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
      check({ method, path: `/admin/v1${path}`, status: response.status, type, body: parsed });
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
