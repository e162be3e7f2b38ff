import { secretString } from '@strata/shared/config/secret-string.ts';
import type { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { withholdCredentials } from '@strata/shared/http/withhold-credentials.ts';
import { matchesScope } from '@strata/shared/identity/scopes.ts';
import type { OpenapiService } from '@strata/shared/openapi/openapi-document.ts';
import type { OpenapiOperation } from '@strata/shared/openapi/openapi-operation.ts';
import * as z from 'zod';
import { type RemoteServer, remoteOptions, remoteServer } from '../remote-server.ts';
import { credentialsIn } from '../shown-credentials.ts';
import type { Transport } from '../transport.ts';
import { defineUpstream, type UpstreamPluginDeps, upstreamOptions } from '../upstream-plugin.ts';
import { type ApiTool, apiTool } from './api-tools.ts';
import { documentInvalid, loadDocument } from './document.ts';
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
    const headers = Object.entries(settings.headers).map(([name, value]) => [name, value.reveal()]);
    const credentials = [...credentialsIn(Object.fromEntries(headers)), ...credentialsIn(query)];
    const withheld = withholdCredentials(credentials);
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
      credentials,
      create(events) {
        const { name: server, dialer } = deps;
        const maxResultBytes = settings.max_result_bytes;
        const transport = new OpenApiTransport(
          { server, load, query, withheld, maxResultBytes, dialer },
          events,
        );
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
  const isOffered = (id: string) => matchesScope(settings.operations, id);
  const tools = new Map<string, ApiTool>();
  const problems = new Map([...document.problems].filter(([id]) => isOffered(id)));
  const remotes = createRemotes(settings, document, deps.name);
  for (const operation of [...document.operations.values()].filter(({ id }) => isOffered(id))) {
    const remote = remotes(operation);
    if (remote === undefined) problems.set(operation.id, addressMissing(deps.name));
    else tools.set(operation.id, apiTool(operation, { remote, query }));
    for (const part of operation.shortened)
      deps.log.warn({ server: deps.name, operation: operation.id, part }, 'a schema is not shown whole');
  }
  const [problem] = problems.values();
  if (tools.size === 0 && problem !== undefined)
    throw documentInvalid(deps.name, 'has no operation that can be used', problem);
  for (const [operation, { message }] of problems)
    deps.log.warn({ server: deps.name, operation, problem: message }, 'an operation is left out');
  return {
    info: { name: document.title || deps.name, version: document.version },
    tools,
    leftOut: [...problems.keys()],
  };
}

/** Where each operation is; those at one address share what is known of it. */
function createRemotes(settings: Settings, document: OpenapiService, server: string) {
  const known = new Map<string, RemoteServer>();
  return (operation: OpenapiOperation): RemoteServer | undefined => {
    const url = settings.url ?? addressIn(document, operation, settings.document);
    if (url === undefined) return undefined;
    const remote = known.get(url) ?? remoteServer(server, { ...settings, url });
    known.set(url, remote);
    return remote;
  };
}

/** An operation's own stands for that of all. An address without a host is relative to that of the document. */
function addressIn(
  document: OpenapiService,
  { servers }: OpenapiOperation,
  location: string,
): string | undefined {
  const base = /^https?:/.test(location) ? location : undefined;
  const written = servers[0] ?? document.servers[0] ?? '/';
  if (/\{[^{}]+\}/.test(written)) return undefined; // a variable without a default
  const parsed = URL.parse(written, base);
  return parsed && /^https?:$/.test(parsed.protocol) ? parsed.origin + parsed.pathname : undefined;
}

function addressMissing(server: string): GatewayError {
  return documentInvalid(server, 'does not say where the operation is; set `url`');
}
