import type { AuditLog } from '@strata/shared/audit/audit-log.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { problemErrors } from '@strata/shared/errors/problem.ts';
import { parseJson } from '@strata/shared/json.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { fromServerJson } from '../domain/server-json.ts';
import type { ServerRegistry } from '../pipeline/server-registry.ts';

export interface ServerAdminDeps {
  readonly registry: ServerRegistry;
  readonly audit: AuditLog;
}

const base = '/admin/v1/mcp/servers';
const maxBody = { maxBytes: 256 * 1024, maxDepth: 32, maxNodes: 10_000 };

const importSchema = z.strictObject({
  server: z.unknown(),
  /** The name here; without it, the last part of the document's. */
  name: z.string().optional(),
  values: z.record(z.string(), z.string()).default({}),
});

const states = { enable: 'enabled', disable: 'disabled', drain: 'draining' } as const;

/** The servers of the gateway, for admins: list, register, import from a registry, enable, disable, drain, check, remove. */
export function addServerAdmin(app: FastifyInstance, { registry, audit }: ServerAdminDeps): void {
  const config = { access: 'admin', errors: problemErrors } as const;
  const entered = (request: FastifyRequest, action: string, id: string) => {
    const { caller } = request;
    const { tenant, principal, keyId } = caller;
    const target = { type: 'mcp_server', id };
    audit.record({
      tenant,
      category: 'admin',
      action,
      outcome: 'succeeded',
      principal,
      keyId,
      target,
      requestId: request.id,
    });
  };

  app.get(base, { config }, async () => ({ servers: registry.list() }));
  app.get(`${base}/:name`, { config }, async request => registry.get(nameOf(request)));
  app.put(`${base}/:name`, { config }, async (request, reply) => {
    const view = await registry.put(nameOf(request), bodyOf(request));
    entered(request, 'mcp_server.register', view.name);
    return reply.code(view.revision === 1 ? 201 : 200).send(view);
  });
  app.delete(`${base}/:name`, { config }, async (request, reply) => {
    await registry.remove(nameOf(request));
    entered(request, 'mcp_server.remove', nameOf(request));
    return reply.code(204).send();
  });
  app.post(`${base}/import`, { config }, async (request, reply) => {
    const parsed = importSchema.safeParse(bodyOf(request));
    if (!parsed.success) throw bodyInvalid(parsed.error.issues[0]?.message);
    const { server, name, values } = parsed.data;
    const imported = fromServerJson(server, values);
    const view = await registry.put(name ?? imported.name, imported.config);
    entered(request, 'mcp_server.import', view.name);
    return reply.code(201).send(view);
  });
  app.post(`${base}/:name/check`, { config }, async request => ({
    health: await registry.check(nameOf(request)),
  }));
  for (const [verb, state] of Object.entries(states)) {
    app.post(`${base}/:name/${verb}`, { config }, async request => {
      const view = await registry.setState(nameOf(request), state);
      entered(request, `mcp_server.${verb}`, view.name);
      return view;
    });
  }
}

function nameOf(request: FastifyRequest): string {
  return (request.params as { name: string }).name; // the route has it
}

function bodyOf(request: FastifyRequest): unknown {
  return parseJson(Buffer.isBuffer(request.body) ? request.body : Buffer.from('null'), maxBody);
}

function bodyInvalid(message: string | undefined): GatewayError {
  return new GatewayError('invalid_request', `The body is not what is expected: ${message ?? ''}.`, {
    reason: 'invalid_params',
  });
}
