import { secretString } from '@strata/shared/config/secret-string.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { OpenapiService } from '@strata/shared/openapi/openapi-document.ts';
import * as z from 'zod';
import { remoteOptions, remoteServer } from '../remote-server.ts';
import type { Transport } from '../transport.ts';
import { defineUpstream, type UpstreamPluginDeps, upstreamOptions } from '../upstream-plugin.ts';
import { apiTool } from './api-tools.ts';
import { loadDocument } from './document.ts';
import { type OpenApi, OpenApiTransport } from './openapi-transport.ts';

const options = z.object({
  ...upstreamOptions,
  document: z
    .string()
    .min(1)
    .describe('Path or `http(s)` address of the OpenAPI document (3.1, 3.0 or 2.0), JSON or YAML.'),
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Where the API is; without it, the first of the `servers` of the document.'),
  ...remoteOptions,
  query: z
    .record(z.string(), secretString())
    .default({})
    .describe('Appended to every request, such as an API key that the API wants in the query.'),
  operations: z
    .array(z.string().min(1))
    .default(['*'])
    .describe('Globs over operation ids: the operations that become tools. `!` in front takes away.'),
});

type Settings = z.output<typeof options>;

/** HTTP APIs that are described by an OpenAPI document: each operation is a tool. */
export const openApiUpstream = defineUpstream({
  type: 'openapi',
  options,
  create(settings, deps) {
    const open = new Set<Transport>();
    let loading: Promise<OpenApi> | undefined;
    const load = () => {
      loading ??= loadApi(settings, deps).catch((error: unknown) => {
        loading = undefined; // the next who needs it tries again
        throw error;
      });
      return loading;
    };
    const query = Object.fromEntries(
      Object.entries(settings.query).map(([name, value]) => [name, value.reveal()]),
    );
    return {
      kind: 'tcp',
      era: 'legacy',
      create(events) {
        const { name: server, dialer } = deps;
        const maxResultBytes = settings.max_result_bytes;
        const transport = new OpenApiTransport({ server, load, query, maxResultBytes, dialer }, events);
        open.add(transport);
        return transport;
      },
      async close() {
        await Promise.all([...open].map(transport => transport.close()));
      },
    };
  },
});

async function loadApi(settings: Settings, deps: UpstreamPluginDeps): Promise<OpenApi> {
  const document = await loadDocument({
    server: deps.name,
    location: settings.document,
    allowPrivate: settings.allow_private,
    dialer: deps.dialer,
  });
  for (const [operation, problem] of document.problems) {
    deps.log.warn({ server: deps.name, operation, problem: problem.message }, 'an operation is left out');
  }
  const { headers, allow_private } = settings;
  const url = settings.url ?? addressIn(document, settings.document);
  if (url === undefined) {
    throw new GatewayError(
      'upstream_failed',
      `Nothing says where the API of '${deps.name}' is. Set \`url\`.`,
      {
        reason: 'openapi_document_invalid',
        details: { server: deps.name },
      },
    );
  }
  const offered = [...document.operations.values()].filter(({ id }) => matchesScope(settings.operations, id));
  return {
    info: { name: document.title || deps.name, version: document.version },
    remote: remoteServer(deps.name, { url, headers, allow_private }),
    tools: new Map(offered.map(operation => [operation.id, apiTool(operation)])),
  };
}

/** An address without a host is relative to that of the document. */
function addressIn({ servers }: OpenapiService, location: string): string | undefined {
  const base = /^https?:/.test(location) ? location : undefined;
  const parsed = URL.parse(servers[0] ?? '/', base);
  return parsed && /^https?:$/.test(parsed.protocol) ? parsed.href : undefined;
}
