import { upgrade } from '@scalar/openapi-upgrader';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { parseJson } from '../json/parse-json.ts';
import { inlineReferences, invalid } from './inline-references.ts';

/** What an OpenAPI document offers: 3.1, 3.0, or Swagger 2.0, read as 3.1. */
export interface OpenapiService {
  readonly title: string;
  readonly version: string;
  /** Addresses as written; relative ones are relative to where the document lies. */
  readonly servers: readonly string[];
  readonly operations: ReadonlyMap<string, OpenapiOperation>;
}

export interface OpenapiOperation {
  /** `operationId`, else made of method and path. */
  readonly id: string;
  readonly method: string;
  /** With `{name}` for what goes into it. */
  readonly path: string;
  readonly summary: string | undefined;
  readonly description: string | undefined;
  readonly parameters: readonly OpenapiParameter[];
  readonly body: OpenapiBody | undefined;
  /** JSON Schema of a successful JSON answer, if it says one. */
  readonly resultSchema: unknown;
  /** Overrides those of the service when it is not empty. */
  readonly servers: readonly string[];
}

export interface OpenapiParameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header' | 'cookie';
  readonly required: boolean;
  readonly description: string | undefined;
  readonly schema: unknown;
  /** Arrays and objects as one text or as several (OpenAPI 3.1, "Style Values"). */
  readonly explode: boolean;
  readonly style: string;
}

export interface OpenapiBody {
  readonly mediaType: string;
  readonly required: boolean;
  readonly schema: unknown;
}

const maxBytes = 4 * 1024 * 1024;
const maxOperations = 1000;
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

const text = z.string().optional().catch(undefined);
const servers = z
  .array(z.looseObject({ url: z.string() }))
  .default([])
  .transform(list => list.map(({ url }) => url));
const parameterSchema = z.looseObject({
  name: z.string().min(1),
  in: z.enum(['path', 'query', 'header', 'cookie']),
  required: z.boolean().default(false),
  description: text,
  schema: z.unknown().optional(),
  style: z.string().optional(),
  explode: z.boolean().optional(),
});
const content = z.record(z.string(), z.looseObject({ schema: z.unknown().optional() })).default({});
const operationSchema = z.looseObject({
  operationId: z.string().optional(),
  summary: text,
  description: text,
  parameters: z.array(parameterSchema).default([]),
  requestBody: z.looseObject({ required: z.boolean().default(false), content }).optional(),
  responses: z.record(z.string(), z.looseObject({ content })).default({}),
  servers,
});
const documentSchema = z.looseObject({
  openapi: z.string(),
  info: z.looseObject({ title: z.string().catch(''), version: z.string().catch('') }),
  servers,
  paths: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
});

/**
 * Reads a document in JSON or YAML.
 *
 * @throws GatewayError invalid_request (`openapi_invalid`), and what `parseJson` throws.
 */
export function readOpenapi(bytes: Buffer): OpenapiService {
  if (bytes.length > maxBytes) throw invalid(`is larger than ${maxBytes} bytes`);
  const document = upgradeDocument(parse(bytes));
  const head = check(documentSchema, document, 'is not one');
  const operations = new Map<string, OpenapiOperation>();
  for (const [path, item] of Object.entries(head.paths)) {
    for (const method of methods) {
      if (item[method] === undefined) continue;
      if (operations.size >= maxOperations) throw invalid(`has more than ${maxOperations} operations`);
      const operation = readOperation({ document, path, method, item });
      if (operations.has(operation.id)) throw invalid(`has two operations '${operation.id}'`);
      operations.set(operation.id, operation);
    }
  }
  return { title: head.info.title, version: head.info.version, servers: head.servers, operations };
}

interface Place {
  readonly document: unknown;
  readonly path: string;
  readonly method: (typeof methods)[number];
  readonly item: Readonly<Record<string, unknown>>;
}

function readOperation({ document, path, method, item }: Place): OpenapiOperation {
  const shared = Array.isArray(item.parameters) ? item.parameters : [];
  const own = inlineReferences(item[method], document);
  const at = `has a mistake at ${method.toUpperCase()} ${path}`;
  const found = check(operationSchema, own, at);
  const inherited = check(z.array(parameterSchema), inlineReferences(shared, document), at);
  const isOverridden = (each: { name: string; in: string }) =>
    found.parameters.some(other => other.name === each.name && other.in === each.in);
  return {
    id: found.operationId ?? `${method}_${path.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_|_$/g, '')}`,
    method: method.toUpperCase(),
    path,
    summary: found.summary,
    description: found.description,
    parameters: [...inherited.filter(each => !isOverridden(each)), ...found.parameters].map(toParameter),
    body: bodyOf(found.requestBody),
    resultSchema: resultSchemaOf(found.responses),
    servers: found.servers,
  };
}

function toParameter(given: z.output<typeof parameterSchema>): OpenapiParameter {
  const style = given.style ?? (given.in === 'query' || given.in === 'cookie' ? 'form' : 'simple');
  return {
    name: given.name,
    in: given.in,
    required: given.required || given.in === 'path',
    description: given.description,
    schema: given.schema ?? {},
    style,
    explode: given.explode ?? style === 'form',
  };
}

function bodyOf(body: z.output<typeof operationSchema>['requestBody']): OpenapiBody | undefined {
  if (body === undefined) return undefined;
  const types = Object.keys(body.content);
  const mediaType =
    types.find(isJson) ?? types.find(type => type.startsWith('application/x-www-form')) ?? types[0];
  if (mediaType === undefined) return undefined;
  return { mediaType, required: body.required, schema: body.content[mediaType]?.schema ?? {} };
}

function resultSchemaOf(responses: z.output<typeof operationSchema>['responses']): unknown {
  const [, success] = Object.entries(responses).find(([status]) => /^2/.test(status)) ?? [];
  const [, answer] = Object.entries(success?.content ?? {}).find(([type]) => isJson(type)) ?? [];
  return answer?.schema;
}

/** `application/json` and everything with the suffix of RFC 6839. */
export function isJson(mediaType: string): boolean {
  return /^[^;]*[/+]json\s*(;|$)/i.test(mediaType);
}

function parse(bytes: Buffer): unknown {
  if (/^\s*\{/.test(bytes.toString('utf8', 0, 1024))) return parseJson(bytes);
  const document = parseDocument(bytes.toString('utf8'), {
    schema: 'core',
    merge: false,
    prettyErrors: false,
  });
  const [problem] = document.errors;
  if (problem !== undefined) throw invalid(`is neither JSON nor YAML: ${problem.message}`, problem);
  return parseJson(Buffer.from(JSON.stringify(document.toJS({ maxAliasCount: 50 }) ?? null)));
}

function upgradeDocument(value: unknown): unknown {
  try {
    return upgrade(value as Parameters<typeof upgrade>[0], '3.1'); // it looks for itself what it was given
  } catch (error) {
    throw invalid('cannot be read as OpenAPI 3.1', error);
  }
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${what}: /${issue?.path.map(String).join('/') ?? ''} ${issue?.message ?? ''}`, parsed.error);
}
