import * as z from 'zod';

type Json = Readonly<Record<string, unknown>>;

/** One thing that an HTTP API does, as its OpenAPI document says. */
export interface ApiOperation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** With its parameters in braces. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly description?: string | undefined;
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly headers?: readonly ApiHeader[] | undefined;
  readonly body?: ApiContent | undefined;
  /** By status, without the problems that every operation may answer with. */
  readonly answers: Readonly<Record<string, ApiContent | undefined>>;
}

export interface ApiHeader {
  readonly name: string;
  readonly isRequired: boolean;
  readonly description: string;
}

export interface ApiContent {
  readonly schema?: z.ZodType | undefined;
  /** Media types of what the schema describes; JSON when left out. */
  readonly types?: readonly string[] | undefined;
  /** Media types of texts that no schema describes. */
  readonly textTypes?: readonly string[] | undefined;
}

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
export function openApiDocument(
  operations: readonly ApiOperation[],
  { title, key }: { readonly title: string; readonly key: string },
): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: show(operation) };
  return {
    openapi: '3.1.0',
    info: { title, version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: key } },
    },
    security: [{ key: [] }],
  };
}

function show({ id, summary, description, params, query, headers, body, answers }: ApiOperation): Json {
  return {
    operationId: id,
    summary,
    ...(description !== undefined && { description }),
    parameters: [
      ...parametersOf('path', params),
      ...parametersOf('query', query),
      ...(headers ?? []).map(showHeader),
    ],
    ...(body !== undefined && { requestBody: { content: contentOf(body) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [
          status,
          answer === undefined
            ? { description: 'Done.' }
            : { description: 'The answer.', content: contentOf(answer) },
        ]),
      ),
      default: {
        description: 'Refused, or failed.',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function contentOf({ schema, types = ['application/json'], textTypes = [] }: ApiContent): Json {
  const described = schema === undefined ? [] : types.map(type => [type, { schema: schemaOf(schema) }]);
  const texts = textTypes.map(type => [type, { schema: { type: 'string' } }]);
  return Object.fromEntries([...described, ...texts]);
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema) as {
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

function showHeader({ name, isRequired, description }: ApiHeader): Json {
  return { name, in: 'header', required: isRequired, description, schema: { type: 'string' } };
}

function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}
