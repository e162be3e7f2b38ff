import { type AdminContext, type AdminRoute, defineRoute } from '@strata/shared/admin/admin-route.ts';
import * as z from 'zod';
import { fromServerJson } from '../domain/server-json.ts';
import type { ServerRegistry, ServerView } from '../pipeline/server-registry.ts';

const base = '/mcp/servers';
const named = z.object({ name: z.string().max(64) });
const roles = ['owner', 'operator'] as const;
/** Servers are everybody's: only a key of the installation sees or changes them. */
const common = { roles, installationOnly: true } as const;

const health = z
  .object({
    status: z.enum(['up', 'down', 'unknown']),
    running: z.int().describe('Calls under way.'),
    failures: z.int().describe('Calls in a row that were not answered.'),
    reason: z.string().optional(),
    seen_at_ms: z.int().optional().describe('The last sign of life.'),
  })
  .optional();

const serverAnswer = z.object({
  name: z.string(),
  source: z.enum(['config', 'admin']),
  state: z.enum(['enabled', 'disabled', 'draining']),
  revision: z.int(),
  config: z.unknown().describe('As in the configuration file; secrets are left out.'),
  health,
});

const definition = z
  .record(z.string(), z.unknown())
  .describe('The definition of the server, as the configuration file would hold it.');

/** The servers of the gateway: list, register, import from a registry, enable, disable, drain, check, remove. */
export function serverRoutes(registry: ServerRegistry): AdminRoute[] {
  return [
    defineRoute({
      ...common,
      method: 'GET',
      path: base,
      operation: 'mcp_server.list',
      summary: 'The tool servers: where each comes from, its state and its health.',
      answer: z.object({ servers: z.array(serverAnswer) }),
      handle: async () => ({ body: { servers: registry.list().map(showServer) } }),
    }),
    defineRoute({
      ...common,
      method: 'GET',
      path: `${base}/:name`,
      operation: 'mcp_server.get',
      summary: 'One tool server.',
      params: named,
      answer: serverAnswer,
      handle: async ({ params }) => answerWith(registry.get(params.name)),
    }),
    defineRoute({
      ...common,
      method: 'PUT',
      path: `${base}/:name`,
      operation: 'mcp_server.register',
      summary: 'Registers a tool server, or replaces what was registered under the name.',
      changes: true,
      params: named,
      body: definition,
      answer: serverAnswer,
      handle: async ({ params, body }, context) =>
        answerWith(await registry.put(params.name, body, recordOf(context, params.name))),
    }),
    defineRoute({
      ...common,
      method: 'POST',
      path: `${base}/import`,
      operation: 'mcp_server.import',
      summary: 'Registers the remote address of an entry of an MCP registry.',
      changes: true,
      status: 201,
      body: z.strictObject({
        server: z.unknown().describe('The `server.json`.'),
        _meta: z.unknown().optional().describe('What the registry says about it; not read.'),
        name: z.string().optional().describe("The name here; without it, the last part of the document's."),
        values: z
          .record(z.string(), z.string())
          .default({})
          .describe('For the variables and headers it leaves open.'),
      }),
      answer: serverAnswer,
      handle: async ({ body }, context) => {
        const imported = fromServerJson(body.server, body.values);
        const name = body.name ?? imported.name;
        return answerWith(await registry.put(name, imported.config, recordOf(context, name)));
      },
    }),
    defineRoute({
      ...common,
      method: 'DELETE',
      path: `${base}/:name`,
      operation: 'mcp_server.remove',
      summary: 'Forgets a server that was registered.',
      changes: true,
      status: 204,
      params: named,
      handle: async ({ params }, context) => {
        await registry.remove(params.name, recordOf(context, params.name));
        return { body: undefined };
      },
    }),
    defineRoute({
      ...common,
      method: 'POST',
      path: `${base}/:name/check`,
      operation: 'mcp_server.check',
      summary: 'Asks a server now whether it lives.',
      params: named,
      answer: z.object({ health }),
      handle: async ({ params }) => {
        await registry.check(params.name);
        return { body: { health: showServer(registry.get(params.name)).health } };
      },
    }),
    switchRoute(registry, 'enable', 'enabled', 'Offers a server again.'),
    switchRoute(registry, 'disable', 'disabled', 'Stops offering a server, and what runs on it.'),
    switchRoute(
      registry,
      'drain',
      'draining',
      'Offers a server no more; it is disabled when what runs is done.',
    ),
  ];
}

function switchRoute(
  registry: ServerRegistry,
  verb: string,
  state: ServerView['state'],
  summary: string,
): AdminRoute {
  return defineRoute({
    ...common,
    method: 'POST',
    path: `${base}/:name/${verb}`,
    operation: `mcp_server.${verb}`,
    summary,
    changes: true,
    params: named,
    answer: serverAnswer,
    handle: async ({ params }, context) =>
      answerWith(await registry.setState(params.name, state, recordOf(context, params.name))),
  });
}

function recordOf(context: AdminContext, id: string): (transaction: object) => Promise<void> {
  const change = context.change<string>(name => ({ type: 'mcp_server', id: name, details: {} }));
  return transaction => change.record(transaction, id);
}

function answerWith(view: ServerView) {
  return { body: showServer(view), revision: view.revision };
}

function showServer({ health: seen, ...view }: ServerView): z.input<typeof serverAnswer> {
  if (!seen) return view;
  const { seenAtMs, reason, ...counts } = seen;
  return {
    ...view,
    health: {
      ...counts,
      ...(reason !== undefined && { reason }),
      ...(seenAtMs !== undefined && { seen_at_ms: seenAtMs }),
    },
  };
}
