import { anthropicErrors } from '@strata/shared/errors/anthropic.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { openaiErrors } from '@strata/shared/errors/openai.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Capabilities, capabilitiesOf } from '../domain/capabilities.ts';
import { findRoute, type Route, type RouteTable, visibleRoutes } from '../domain/route.ts';

export interface ModelsEndpointDeps {
  routes(): RouteTable;
  /** Wall clock milliseconds at which the routes in force were taken over; models have no other date here. */
  since(): number;
}

interface ModelShape {
  list(routes: readonly Route[], sinceMs: number): object;
  one(route: Route, sinceMs: number): object;
}

/** `GET /v1/models` and one model, in the shape of the SDK that asks, filtered by what the caller may use. */
export function addModelsEndpoint(app: FastifyInstance, deps: ModelsEndpointDeps): void {
  const options = { config: { access: 'caller', errors: openaiErrors } } as const;
  app.get('/v1/models', options, async request => {
    const routes = visibleRoutes(deps.routes(), request.caller.scopes.models);
    return shapeFor(request).list(routes, deps.since());
  });
  // An alias may hold slashes, which a parameter would not take.
  app.get('/v1/models/*', options, async (request, reply) => {
    const alias = (request.params as { '*': string })['*']; // the wildcard of this very path
    try {
      const route = findRoute(deps.routes(), alias, request.caller.scopes.models);
      return shapeFor(request).one(route, deps.since());
    } catch (error) {
      return refuse(request, reply, GatewayError.from(error));
    }
  });
}

function isAnthropic(request: FastifyRequest): boolean {
  return request.headers['anthropic-version'] !== undefined;
}

function shapeFor(request: FastifyRequest): ModelShape {
  return isAnthropic(request) ? anthropicShape : openaiShape;
}

function refuse(request: FastifyRequest, reply: FastifyReply, error: GatewayError): FastifyReply {
  const render = isAnthropic(request) ? anthropicErrors : openaiErrors;
  const { status, headers, body } = render(error, { requestId: request.id });
  return reply.code(status).headers(headers).send(body);
}

/** OpenAI has no words for these; they are the ones that routers and local servers use, which clients look for. */
function described({ inputModalities, outputModalities, features }: Capabilities): object {
  return {
    input_modalities: inputModalities,
    output_modalities: outputModalities,
    supported_parameters: features,
  };
}

const openaiShape: ModelShape = {
  list: (routes, sinceMs) => ({ object: 'list', data: routes.map(route => openaiShape.one(route, sinceMs)) }),
  one(route, sinceMs) {
    const known = capabilitiesOf(route);
    return {
      id: route.alias,
      object: 'model',
      created: Math.floor(sinceMs / 1000),
      owned_by: route.targets[0]?.provider.name ?? 'strata',
      context_length: known.contextTokens,
      max_output_tokens: known.maxOutputTokens,
      ...described(known),
    };
  },
};

const anthropicShape: ModelShape = {
  list: (routes, sinceMs) => ({
    data: routes.map(route => anthropicShape.one(route, sinceMs)),
    has_more: false,
    first_id: routes.at(0)?.alias ?? null,
    last_id: routes.at(-1)?.alias ?? null,
  }),
  one(route, sinceMs) {
    const known = capabilitiesOf(route);
    return {
      type: 'model',
      id: route.alias,
      display_name: route.alias,
      created_at: new Date(sinceMs).toISOString(),
      max_input_tokens: known.contextTokens ?? null,
      max_tokens: known.maxOutputTokens ?? null,
      capabilities: null, // its many switches are those of the vendor's own wire; none is guessed
      ...described(known),
    };
  },
};
