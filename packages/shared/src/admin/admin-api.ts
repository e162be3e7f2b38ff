import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Transaction } from 'kysely';
import { GatewayError } from '../errors/gateway-error.ts';
import { problemErrors } from '../errors/problem.ts';
import { etagOf } from '../http/etag.ts';
import { canonicalJson, digestOf } from '../json/canonical-json.ts';
import type { SharedSchema } from '../stores/shared-schema.ts';
import type { AdminDeps } from './admin-deps.ts';
import { type AdminRequest, readRequest } from './admin-request.ts';
import type { AdminContext, AdminRoute } from './admin-route.ts';
import { type BegunRequest, createIdempotency, type Idempotency, type StoredAnswer } from './idempotency.ts';
import { adminDocument } from './openapi.ts';
import { auditRoutes } from './resources/audit.ts';
import { budgetRoutes } from './resources/budgets.ts';
import { keyRoutes } from './resources/keys.ts';
import { limitRoutes } from './resources/limits.ts';
import { organisationRoutes } from './resources/organisations.ts';
import { policyRoutes } from './resources/policies.ts';
import { priceRoutes } from './resources/prices.ts';
import { treeRoutes } from './resources/tree.ts';
import { usageRoutes } from './resources/usage.ts';
import { absent, onlyTeamOf, requireRole } from './route-access.ts';

export const adminPrefix = '/admin/v1';

/**
 * The admin API: one list of routes, each with who may call it, what it takes and what it answers with. From the list follow the role
 * check, the parsing, the audit entry in the transaction of the change (I18), `If-Match`, `Idempotency-Key`, and the OpenAPI document.
 * A gateway adds routes of its own to the same list.
 */
export function addAdminApi(app: FastifyInstance, deps: AdminDeps, more: readonly AdminRoute[] = []): void {
  const routes = [...adminRoutes(deps), ...more];
  const idempotency = createIdempotency({ db: deps.sql.db, clock: deps.clock, sealer: deps.sealer });
  for (const route of routes) addRoute(app, route, { deps, idempotency });
  const document = JSON.stringify(adminDocument(routes, adminPrefix));
  const config = { access: 'caller', holdOffGuesses: true, errors: problemErrors } as const;
  app.get(adminPrefix, { config }, async () => ({ openapi: `${adminPrefix}/openapi.json` }));
  app.get(`${adminPrefix}/openapi.json`, { config }, (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(document),
  );
}

/** What every gateway has. */
export function adminRoutes(deps: AdminDeps): readonly AdminRoute[] {
  return [
    ...organisationRoutes(deps),
    ...treeRoutes(deps),
    ...keyRoutes(deps),
    ...budgetRoutes(deps),
    ...limitRoutes(deps),
    ...policyRoutes(deps),
    ...priceRoutes(deps),
    ...usageRoutes(deps),
    ...auditRoutes(deps),
  ];
}

interface RouteDeps {
  readonly deps: AdminDeps;
  readonly idempotency: Idempotency;
}

function addRoute(app: FastifyInstance, route: AdminRoute, routeDeps: RouteDeps): void {
  app.route({
    method: route.method,
    url: `${adminPrefix}${route.path}`,
    config: { access: 'caller', holdOffGuesses: true, errors: problemErrors, checksTexts: true },
    // Before the body is read, as everything that can be refused.
    onRequest: async request => requireRole(route, request.caller),
    handler: async (request, reply) => {
      const read = await readRequest(route, request, routeDeps.deps.tree);
      if (read.idempotencyKey === undefined)
        return send(request, reply, await answer(route, request, read, routeDeps));
      return send(request, reply, await answerOnce(route, request, read, routeDeps, read.idempotencyKey));
    },
  });
}

type Answered = StoredAnswer | { readonly stream: AsyncIterable<string>; readonly type: string };

function send(request: FastifyRequest, reply: FastifyReply, answered: Answered): FastifyReply {
  if ('stream' in answered) {
    // Whoever asks for the head alone does not have a million rows read for it.
    const body = request.method === 'HEAD' ? [] : answered.stream;
    return reply.type(answered.type).send(Readable.from(body));
  }
  return reply.code(answered.status).headers(answered.headers).send(answered.body);
}

async function answerOnce(
  route: AdminRoute,
  request: FastifyRequest,
  read: AdminRequest,
  routeDeps: RouteDeps,
  key: string,
): Promise<Answered> {
  const { caller } = request;
  const who = JSON.stringify([caller.tenant, caller.principal, caller.keyId]);
  const begun = await routeDeps.idempotency.begin({ caller: who, key, digest: read.digest });
  if (begun.type === 'answered')
    return { ...begun.answer, headers: { ...begun.answer.headers, 'idempotent-replayed': 'true' } };
  try {
    const answered = await answer(route, request, read, routeDeps, begun.request);
    if (!('stream' in answered)) await begun.request.answered(answered);
    return answered;
  } catch (error) {
    await begun.request.abandoned();
    throw error;
  }
}

async function answer(
  route: AdminRoute,
  request: FastifyRequest,
  read: AdminRequest,
  { deps }: RouteDeps,
  begun?: BegunRequest,
): Promise<Answered> {
  const { params, query, body } = read;
  const context = contextOf(route, request, read, deps, begun);
  const result = await route.handle({ params, query, body }, context).catch(preconditionFailed);
  if ('text' in result) {
    const { text, type } = result;
    if (typeof text !== 'string') return { stream: text, type };
    return { status: 200, headers: { 'content-type': type }, body: text };
  }
  return {
    status: route.status ?? 200,
    headers: {
      'cache-control': 'no-store',
      ...(route.answer !== undefined && { 'content-type': 'application/json; charset=utf-8' }),
      ...(result.revision !== undefined && { etag: etagOf(result.revision) }),
    },
    body: route.answer === undefined ? '' : JSON.stringify(result.body),
  };
}

function contextOf(
  route: AdminRoute,
  request: FastifyRequest,
  read: AdminRequest,
  deps: AdminDeps,
  begun: BegunRequest | undefined,
): AdminContext {
  const { caller } = request;
  const { tenant, revision, query } = read;
  const { cursor, limit: _limit, ...filter } = query;
  const purpose = `admin/cursor/${route.operation}/${digestOf(canonicalJson([tenant, JSON.stringify(filter)]))}`;
  return {
    caller,
    tenant,
    onlyTeam: onlyTeamOf(caller),
    position: typeof cursor === 'string' ? openCursor(deps, purpose, cursor) : undefined,
    sealCursor: position => deps.sealer.seal(purpose, position),
    change: describe => ({
      revision,
      async record(transaction, changed) {
        const { details, ...target } = describe(changed);
        // Each store sees its own tables; all of them are in one database.
        const whole = transaction as Transaction<SharedSchema>;
        await begun?.changed(whole);
        await deps.audit.appendIn(whole, {
          tenant,
          category: 'admin',
          action: route.operation,
          outcome: 'succeeded',
          principal: caller.principal,
          keyId: caller.keyId,
          target,
          traceId: request.traceContext.traceId,
          requestId: request.id,
          details: caller.tenant === tenant ? details : { by_organisation: caller.tenant, changed: details },
          sensitive: { address: request.ip },
        });
      },
    }),
  };
}

function openCursor({ sealer }: AdminDeps, purpose: string, cursor: string): string {
  const position = sealer.open(purpose, cursor);
  if (position !== undefined) return position;
  throw new GatewayError('invalid_request', 'This cursor was not given out by this list.', {
    reason: 'invalid_cursor',
    param: 'cursor',
  });
}

/** What stores call a conflict of revisions is a failed precondition here; what they call unknown is absent. */
function preconditionFailed(error: unknown): never {
  if (!(error instanceof GatewayError)) throw error;
  if (error.reason === 'unknown_key') throw absent('key');
  if (error.reason === 'unknown_budget') throw absent('budget');
  if (error.reason === 'unknown_price') throw absent('price');
  if (error.reason === 'unknown_limit') throw absent('limit');
  if (error.reason !== 'revision_mismatch' && error.reason !== 'budget_changed') throw error;
  throw new GatewayError('precondition_failed', error.message, { reason: 'revision_mismatch', cause: error });
}
