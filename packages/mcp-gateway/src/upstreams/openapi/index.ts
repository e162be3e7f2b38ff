import { secretString } from '@strata/shared/config/secret-string.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { OpenapiOperation, OpenapiService } from '@strata/shared/openapi/openapi-document.ts';
import * as z from 'zod';
import { type RemoteServer, remoteOptions, remoteServer } from '../remote-server.ts';
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
    .refine(url => URL.parse(url)?.search === '', 'what every request has in its query belongs to `query`')
    .optional()
    .describe(
      'Where the API is; without it, the first of the `servers` of the operation, its path or the document.',
    ),
  ...remoteOptions,
  query: z
    .record(z.string(), secretString())
    .default({})
    .describe(
      'Appended to every request, such as an API key that the API wants in the query. Parameters of these names, and of those in `headers`, are not asked of callers.',
    ),
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
    const query = Object.fromEntries(
      Object.entries(settings.query).map(([name, value]) => [name, value.reveal()]),
    );
    let loading: Promise<OpenApi> | undefined;
    const load = () => {
      loading ??= loadApi(settings, query, deps).catch((error: unknown) => {
        loading = undefined; // the next who needs it tries again
        throw error;
      });
      return loading;
    };
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

async function loadApi(
  settings: Settings,
  query: Readonly<Record<string, string>>,
  deps: UpstreamPluginDeps,
): Promise<OpenApi> {
  const document = await loadDocument({
    server: deps.name,
    location: settings.document,
    allowPrivate: settings.allow_private,
    dialer: deps.dialer,
  });
  for (const [operation, problem] of document.problems) {
    deps.log.warn({ server: deps.name, operation, problem: problem.message }, 'an operation is left out');
  }
  const addresses = new Map<string, RemoteServer>();
  const remoteOf = (operation: OpenapiOperation): RemoteServer => {
    const url = settings.url ?? addressIn(document, operation, settings.document);
    if (url === undefined) throw addressMissing(deps.name);
    const known = addresses.get(url) ?? remoteServer(deps.name, { ...settings, url });
    addresses.set(url, known);
    return known;
  };
  const offered = [...document.operations.values()].filter(({ id }) => matchesScope(settings.operations, id));
  return {
    info: { name: document.title || deps.name, version: document.version },
    tools: new Map(offered.map(each => [each.id, apiTool(each, { remote: remoteOf(each), query })])),
  };
}

/** An operation's own stands for that of all. An address without a host is relative to that of the document. */
function addressIn(
  document: OpenapiService,
  { servers }: OpenapiOperation,
  location: string,
): string | undefined {
  const base = /^https?:/.test(location) ? location : undefined;
  const parsed = URL.parse(servers[0] ?? document.servers[0] ?? '/', base);
  return parsed && /^https?:$/.test(parsed.protocol) ? parsed.origin + parsed.pathname : undefined;
}

function addressMissing(server: string): GatewayError {
  return new GatewayError('upstream_failed', `Nothing says where the API of '${server}' is. Set \`url\`.`, {
    reason: 'openapi_document_invalid',
    details: { server },
  });
}
