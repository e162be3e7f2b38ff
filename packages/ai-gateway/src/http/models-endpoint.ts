import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { findRoute, type Route, type RouteTable, visibleRoutes } from '../domain/route.ts';
import { vendorOf } from './error-shapes.ts';
import {
  anthropicModels,
  geminiModels,
  type ModelPage,
  type ModelShape,
  openaiModels,
  vertexModels,
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
  /** @throws GatewayError invalid_request. */
  page(routes: readonly Route[], query: Query): ModelPage;
}

const openai: Dialect = {
  shape: openaiModels,
  page: routes => ({ routes, hasMore: false }),
};
const anthropic: Dialect = {
  shape: anthropicModels,
  page: (routes, { limit, after_id, before_id }) =>
    pageOf(routes, {
      limit: ['limit', limit],
      after: ['after_id', after_id],
      before: ['before_id', before_id],
    }),
};
const google: Dialect = {
  shape: geminiModels,
  page: (routes, { pageSize, pageToken }) =>
    pageOf(routes, { limit: ['pageSize', pageSize], after: ['pageToken', pageToken] }),
};

const vertex: Dialect = { ...google, shape: vertexModels };

/** Where several vendors' clients ask, their headers and the query say whose they are. */
const paths: readonly { readonly path: string; readonly dialect?: Dialect }[] = [
  { path: '/v1/models' },
  { path: '/v1beta/models' },
  { path: '/v1/publishers/google/models', dialect: vertex },
  { path: '/v1beta1/publishers/google/models', dialect: vertex },
];

/**
 * `GET /v1/models` and one model, in the shape of the SDK that asks, and the paths of Gemini and of Vertex AI in theirs; filtered by what the
 * caller may use.
 */
export function addModelsEndpoint(app: FastifyInstance, deps: ModelsEndpointDeps): void {
  // Without a shape of errors: who asks decides.
  const options = { config: { access: 'caller', queryKey: 'key' } } as const;
  for (const { path, dialect } of paths) {
    app.get(path, options, async request => {
      const { shape, page } = dialect ?? dialectOf(request);
      const routes = visibleRoutes(deps.routes(), request.caller.scopes.models);
      return shape.list(page(routes, request.query as Query), deps.since()); // Fastify parses it into an object
    });
    // An alias may hold slashes, which a parameter would not take.
    app.get(`${path}/*`, options, async request => {
      const alias = (request.params as { '*': string })['*']; // the wildcard of this very path
      const route = findRoute(deps.routes(), alias, request.caller.scopes.models);
      return (dialect ?? dialectOf(request)).shape.one(route, deps.since());
    });
  }
}

function dialectOf({ url, headers }: FastifyRequest): Dialect {
  switch (vendorOf(url, headers)) {
    case 'anthropic':
      return anthropic;
    case 'google':
      return google;
    default:
      return openai;
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
