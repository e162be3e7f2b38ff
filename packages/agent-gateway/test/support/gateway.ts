import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { RouteEntry } from '@strata/shared/http/server.ts';
import { createAnswerCheck, type OpenApi } from '@strata/shared/testing/answer-check.ts';
import { createTestDeps, type TestDeps } from '@strata/shared/testing/gateway-deps.ts';
import { createAgentGateway } from '../../src/app.ts';
import { type AgentGatewayConfig, agentGatewaySection } from '../../src/config.ts';

export interface TestGateway {
  readonly url: string;
  readonly deps: TestDeps;
  readonly openApi: OpenApi;
  /** Every route that is registered. */
  readonly routes: readonly RouteEntry[];
  /** Every answer is compared with the OpenAPI document. A request with the user's key unless another is given. JSON in, JSON out. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes
  readonly body: any;
}

/** A real gateway on a free port of loopback. */
export async function startGateway(
  options: { config?: Record<string, unknown>; deps?: TestDeps } = {},
): Promise<TestGateway> {
  const deps = options.deps ?? (await createTestDeps({ name: 'agent-gateway' }));
  const section = agentGatewaySection.parse({
    http_calls: { private_hosts: ['127.0.0.1'] },
    engine: { first_retry_ms: 20, stop_ms: 500 },
    // These tests are about what expressions give; how soon they are stopped has tests of its own.
    expressions: { timeout_ms: 2000 },
    ...options.config,
    // A machine that is busy with other tests is no overload.
    listen: { port: 0, max_event_loop_delay_ms: 60_000 },
  });
  const gateway = await createAgentGateway(fixed(section), deps);
  const { url } = await gateway.server.start();
  const document = await call(url, deps.userKey, { method: 'GET', path: '/v1/openapi.json' });
  const openApi = document.body as OpenApi;
  const check = createAnswerCheck(openApi);
  let closed: Promise<void> | undefined;
  const close = async () => {
    await gateway.server.app.close();
    await gateway.close();
    if (options.deps === undefined) await deps.close();
  };
  return {
    url,
    deps,
    openApi,
    routes: gateway.server.routes,
    async call(method, path, each = {}) {
      const answer = await call(url, deps.userKey, { method, path, ...each });
      const { status, headers, body } = answer;
      check({ method, path, status, type: headers.get('content-type') ?? '', body });
      return answer;
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}

export async function call(
  url: string,
  userKey: string,
  { method, path, body, key, headers }: CallOptions & { method: string; path: string },
): Promise<Answer> {
  const isText = typeof body === 'string';
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${key ?? userKey}`,
      ...(body !== undefined && { 'content-type': isText ? 'application/yaml' : 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: isText ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** A definition with these tasks. */
export function definitionOf(tasks: unknown, rest: Record<string, unknown> = {}) {
  return {
    document: { dsl: '1.0.3', namespace: 'test', name: 'flow', version: '1.0.0' },
    do: tasks,
    ...rest,
  };
}

function fixed<T>(current: T): ConfigSource<T> {
  return { current, onChange: () => () => {} };
}

export type { AgentGatewayConfig };
