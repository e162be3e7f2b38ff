import * as z from 'zod';
import { querySchema } from './admin-request.ts';
import type { AdminRoute } from './admin-route.ts';

type Json = Readonly<Record<string, unknown>>;

const problem: Json = {
  type: 'object',
  description: 'RFC 9457 problem details. `reason` names the exact case; docs/errors.md lists all.',
  required: ['type', 'title', 'status', 'detail', 'reason', 'retryable', 'request_id'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    reason: { type: 'string' },
    retryable: { type: 'boolean' },
    request_id: { type: 'string' },
    param: { type: 'string' },
  },
};

/** OpenAPI 3.1, whose schemas are JSON Schema 2020-12, from the very schemas that parse the requests. */
export function openApiDocument(routes: readonly AdminRoute[], prefix: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = `${prefix}${route.path}`.replaceAll(/:([A-Za-z_]+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Strata admin API',
      version: '1',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A Strata key with a role.' } },
    },
    security: [{ key: [] }],
  };
}

function operationOf(route: AdminRoute): Json {
  return {
    operationId: route.operation,
    summary: route.summary,
    description: `Roles: ${route.roles.join(', ')}${route.installationOnly === true ? ', of a key of the installation' : ''}.`,
    parameters: [
      ...parametersOf('path', route.params),
      ...parametersOf('query', querySchema(route)),
      ...headersOf(route),
    ],
    ...(route.body !== undefined && {
      requestBody: { content: { 'application/json': { schema: schemaOf(route.body, 'input') } } },
    }),
    responses: {
      [String(route.status ?? 200)]: answerOf(route),
      default: {
        description: 'Refused, or failed.',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function answerOf(route: AdminRoute): Json {
  if (route.answer === undefined) return { description: 'Done.' };
  const texts = (route.textTypes ?? []).map(type => [type, { schema: { type: 'string' } }] as const);
  return {
    description: 'The answer.',
    content: {
      'application/json': { schema: schemaOf(route.answer, 'input') },
      ...Object.fromEntries(texts),
    },
  };
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject | undefined): Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  }; // the JSON Schema of an object
  return Object.entries(properties).map(([name, { description, ...each }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description !== undefined && { description }),
    schema: each,
  }));
}

function headersOf(route: AdminRoute): Json[] {
  const header = (name: string, required: boolean, description: string): Json => ({
    name,
    in: 'header',
    required,
    description,
    schema: { type: 'string' },
  });
  if (route.changes !== true) return [];
  return [
    header('Idempotency-Key', false, 'Sent again with the same key and request, the change is made once.'),
    header('If-Match', route.needsRevision === true, 'The ETag that the change was decided on.'),
  ];
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
