import { anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import type { ErrorRenderer } from '@strata/shared/errors/error-renderer.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { geminiErrors } from '@strata/shared/errors/gemini.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { findRoute, type Route, type RouteTable, visibleRoutes } from '../domain/route.ts';
import {
  anthropicModels,
  geminiModels,
  type ModelPage,
  type ModelShape,
  openaiModels,
} from './model-shapes.ts';
import type { Query } from './object-lists.ts';

export interface ModelsEndpointDeps {
  routes(): RouteTable;
  /** Wall clock milliseconds at which the routes in force were taken over; models have no other date here. */
  since(): number;
}

/** How one vendor's clients ask for models. */
interface Dialect {
  readonly shape: ModelShape;
  readonly errors: ErrorRenderer;
  /** @throws GatewayError invalid_request. */
  page(routes: readonly Route[], query: Query): ModelPage;
}

const openai: Dialect = {
  shape: openaiModels,
  errors: openaiErrors,
  page: routes => ({ routes, hasMore: false }),
};
const anthropic: Dialect = {
  shape: anthropicModels,
  errors: anthropicErrors,
  page: (routes, { limit, after_id, before_id }) =>
    pageOf(routes, {
      limit: ['limit', limit],
      after: ['after_id', after_id],
      before: ['before_id', before_id],
    }),
};
const google: Dialect = {
  shape: geminiModels,
  errors: geminiErrors,
  page: (routes, { pageSize, pageToken }) =>
    pageOf(routes, { limit: ['pageSize', pageSize], after: ['pageToken', pageToken] }),
};

/**
 * `GET /v1/models` and one model, in the shape of the SDK that asks, and `GET /v1beta/models` in Google's; filtered by what the caller may use.
 */
export function addModelsEndpoint(app: FastifyInstance, deps: ModelsEndpointDeps): void {
  add('/v1/models', dialectOf, openaiErrors);
  add('/v1beta/models', () => google, geminiErrors);

  function add(path: string, dialectFor: typeof dialectOf, errors: ErrorRenderer): void {
    const options = { config: { access: 'caller', errors, queryKey: 'key' } } as const;
    app.get(path, options, (request, reply) =>
      answer(request, reply, dialectFor(request), ({ shape, page }) => {
        const routes = visibleRoutes(deps.routes(), request.caller.scopes.models);
        return shape.list(page(routes, request.query as Query), deps.since()); // Fastify parses it into an object
      }),
    );
    // An alias may hold slashes, which a parameter would not take.
    app.get(`${path}/*`, options, (request, reply) =>
      answer(request, reply, dialectFor(request), ({ shape }) => {
        const alias = (request.params as { '*': string })['*']; // the wildcard of this very path
        return shape.one(findRoute(deps.routes(), alias, request.caller.scopes.models), deps.since());
      }),
    );
  }
}

/** Which vendor's client asks, by the headers that its SDKs send. */
function dialectOf({ headers }: FastifyRequest): Dialect {
  if (headers['anthropic-version'] !== undefined) return anthropic;
  const isGoogle = headers['x-goog-api-key'] !== undefined || headers['x-goog-api-client'] !== undefined;
  return isGoogle ? google : openai;
}

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  dialect: Dialect,
  make: (dialect: Dialect) => object,
): Promise<FastifyReply> {
  try {
    return reply.send(make(dialect));
  } catch (error) {
    const { status, headers, body } = dialect.errors(GatewayError.from(error), { requestId: request.id });
    return reply.code(status).headers(headers).send(body);
  }
}

const maxPage = 1000;

type Parameter = readonly [name: string, value: unknown];

/** All of them, as far as one page goes, unless the client asks for less. */
function pageOf(
  routes: readonly Route[],
  { limit, after, before }: { limit: Parameter; after: Parameter; before?: Parameter },
): ModelPage {
  const size = sizeOf(limit);
  const start = after[1] === undefined ? 0 : indexOf(routes, after) + 1;
  if (before?.[1] !== undefined) {
    const end = indexOf(routes, before);
    const from = Math.max(start, end - size);
    return { routes: routes.slice(from, end), hasMore: from > start };
  }
  return { routes: routes.slice(start, start + size), hasMore: start + size < routes.length };
}

function sizeOf([name, value]: Parameter): number {
  if (value === undefined || value === '') return maxPage;
  const size = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : 0;
  if (size > 0) return Math.min(size, maxPage);
  throw new GatewayError('invalid_request', `\`${name}\` must be a number from 1 to ${maxPage}.`, {
    reason: 'page_invalid',
    param: name,
  });
}

function indexOf(routes: readonly Route[], [name, value]: Parameter): number {
  const index = routes.findIndex(({ alias }) => alias === value);
  if (index !== -1) return index;
  throw new GatewayError('invalid_request', `\`${name}\` names no model of this key.`, {
    reason: 'page_invalid',
    param: name,
  });
}
