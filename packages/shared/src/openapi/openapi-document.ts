import { upgrade } from '@scalar/openapi-upgrader';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { GatewayError } from '../errors/gateway-error.ts';
import { parseJson } from '../json/parse-json.ts';
import { inlineReferences, invalid } from './inline-references.ts';

/** What an OpenAPI document offers: 3.1, 3.0, or Swagger 2.0, read as 3.1. */
export interface OpenapiService {
  readonly title: string;
  readonly version: string;
  /** Addresses as written; relative ones are relative to where the document lies. */
  readonly servers: readonly string[];
  readonly operations: ReadonlyMap<string, OpenapiOperation>;
  /** Operations that cannot be used, by id or by method and path: a mistake in one takes away no other. */
  readonly problems: ReadonlyMap<string, GatewayError>;
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
  /** Its own, else those of its path; they override those of the service when they are not empty. */
  readonly servers: readonly string[];
}

export interface OpenapiParameter {
  readonly name: string;
  /** What the argument is called: the name, or `query_name` where another parameter has that. */
  readonly argument: string;
  readonly in: 'path' | 'query' | 'header' | 'cookie';
  readonly required: boolean;
  readonly description: string | undefined;
  readonly schema: unknown;
  /** Arrays and objects as one text or as several (OpenAPI 3.1, "Style Values"). */
  readonly explode: boolean;
  readonly style: string;
  /** Its value is a text in JSON ("Parameter Object", `content`). */
  readonly isJson: boolean;
}

export interface OpenapiBody {
  readonly mediaType: string;
  readonly required: boolean;
  readonly schema: unknown;
  /** How members of a form are written, of which something is said ("Encoding Object"). */
  readonly encoding: Readonly<Record<string, { readonly style?: string; readonly explode?: boolean }>>;
}

/** The argument that is the whole body. */
export const bodyArgument = 'body';

const maxBytes = 16 * 1024 * 1024;
/** Which takes far longer to read. */
const maxYamlBytes = 4 * 1024 * 1024;
const maxOperations = 3000;
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

const text = z.string().optional().catch(undefined);
const plainText = z.union([z.string(), z.number(), z.boolean()]).transform(String);
/** With the defaults of their variables ("Server Variable Object"). */
const servers = z
  .array(
    z.looseObject({
      url: z.string(),
      variables: z.record(z.string(), z.looseObject({ default: plainText })).catch({}),
    }),
  )
  .default([])
  .transform(list =>
    list.map(({ url, variables }) =>
      url.replace(/\{([^{}]+)\}/g, (written, name: string) => variables[name]?.default ?? written),
    ),
  );
const memberEncoding = z
  .looseObject({ style: z.string().exactOptional(), explode: z.boolean().exactOptional() })
  .catch({});
/** Of those that say how an array or object is written; `contentType` is for parts. */
const encoding = z
  .record(z.string(), memberEncoding)
  .catch({})
  .transform(all =>
    Object.fromEntries(
      Object.entries(all).filter(([, { style, explode }]) => style !== undefined || explode !== undefined),
    ),
  );
const content = z
  .record(z.string(), z.looseObject({ schema: z.unknown().optional(), encoding: encoding.prefault({}) }))
  .default({});
const parameterSchema = z.looseObject({
  name: z.string().min(1),
  in: z.enum(['path', 'query', 'header', 'cookie']),
  required: z.boolean().default(false),
  description: text,
  schema: z.unknown().optional(),
  style: z.string().optional(),
  explode: z.boolean().optional(),
  content,
});
const operationSchema = z.looseObject({
  operationId: z.string().optional(),
  summary: text,
  description: text,
  parameters: z.array(parameterSchema).default([]),
  requestBody: z.looseObject({ required: z.boolean().default(false), content }).optional(),
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
  const problems = new Map<string, GatewayError>();
  for (const place of placesIn(document, head.paths)) {
    if (operations.size >= maxOperations) throw invalid(`has more than ${maxOperations} operations`);
    try {
      const operation = readOperation(place);
      if (operations.has(operation.id) || problems.has(operation.id)) {
        operations.delete(operation.id);
        problems.set(operation.id, invalid(`has two operations '${operation.id}'`));
      } else operations.set(operation.id, operation);
    } catch (error) {
      problems.set(`${place.method.toUpperCase()} ${place.path}`, GatewayError.from(error));
    }
  }
  const [problem] = problems.values();
  if (operations.size === 0 && problem !== undefined) throw problem;
  return { title: head.info.title, version: head.info.version, servers: head.servers, operations, problems };
}

function* placesIn(document: unknown, paths: z.output<typeof documentSchema>['paths']): Iterable<Place> {
  for (const [path, item] of Object.entries(paths)) {
    for (const method of methods) if (item[method] !== undefined) yield { document, path, method, item };
  }
}

interface Place {
  readonly document: unknown;
  readonly path: string;
  readonly method: (typeof methods)[number];
  readonly item: Readonly<Record<string, unknown>>;
}

function readOperation({ document, path, method, item }: Place): OpenapiOperation {
  const shared = Array.isArray(item.parameters) ? item.parameters : [];
  const { responses: _responses, callbacks: _callbacks, ...rest } = looseObject(item[method]);
  const at = `has a mistake at ${method.toUpperCase()} ${path}`;
  const found = check(operationSchema, inlineReferences(rest, document), at);
  const inherited = check(z.array(parameterSchema), inlineReferences(shared, document), at);
  const body = bodyOf(found.requestBody);
  const declared = lastOfEach([...inherited, ...found.parameters]);
  return {
    id: found.operationId ?? `${method}_${path.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_|_$/g, '')}`,
    method: method.toUpperCase(),
    path,
    summary: found.summary,
    description: found.description,
    parameters: namedApart([...declared, ...undeclared(path, declared)], body !== undefined).map(toParameter),
    body,
    servers: found.servers.length > 0 ? found.servers : servers.catch([]).parse(item.servers),
  };
}

type Declared = z.output<typeof parameterSchema>;

/** A parameter is its name in its place; an operation's own stand for those of its path ("Path Item Object"). */
function lastOfEach(declared: readonly Declared[]): Declared[] {
  return [...new Map(declared.map(each => [`${each.in} ${each.name}`, each])).values()];
}

/** What stands in the path and was forgotten in the list of parameters. */
function undeclared(path: string, declared: readonly Declared[]): Declared[] {
  const names = [...path.matchAll(/\{([^{}]+)\}/g)].map(([, name = '']) => name);
  const missing = names.filter(name => !declared.some(each => each.in === 'path' && each.name === name));
  return [...new Set(missing)].map(name =>
    parameterSchema.parse({ name, in: 'path', required: true, schema: { type: 'string' } }),
  );
}

/** Two parameters may have one name in two places; arguments may not. */
function namedApart(declared: readonly Declared[], hasBody: boolean): (Declared & { argument: string })[] {
  const taken = new Set(hasBody ? [bodyArgument] : []);
  return declared.map(each => {
    let argument = each.name;
    while (taken.has(argument)) argument = `${each.in}_${argument}`;
    taken.add(argument);
    return { ...each, argument };
  });
}

function toParameter(given: Declared & { readonly argument: string }): OpenapiParameter {
  const style = given.style ?? (given.in === 'query' || given.in === 'cookie' ? 'form' : 'simple');
  const [type, described] = Object.entries(given.content)[0] ?? [];
  return {
    name: given.name,
    argument: given.argument,
    in: given.in,
    required: given.required || given.in === 'path',
    description: given.description,
    schema: given.schema ?? described?.schema ?? {},
    style,
    explode: given.explode ?? style === 'form',
    isJson: type !== undefined && isJson(type),
  };
}

function looseObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}; // checked field by field
}

function bodyOf(body: z.output<typeof operationSchema>['requestBody']): OpenapiBody | undefined {
  if (body === undefined) return undefined;
  const types = Object.keys(body.content);
  const mediaType =
    types.find(isJson) ?? types.find(type => type.startsWith('application/x-www-form')) ?? types[0];
  if (mediaType === undefined) return undefined;
  const { schema = {}, encoding = {} } = body.content[mediaType] ?? {};
  return { mediaType, required: body.required, schema, encoding };
}

/** `application/json` and everything with the suffix of RFC 6839. */
export function isJson(mediaType: string): boolean {
  return /^[^;]*[/+]json\s*(;|$)/i.test(mediaType);
}

function parse(bytes: Buffer): unknown {
  if (/^\s*\{/.test(bytes.toString('utf8', 0, 1024))) return parseJson(bytes);
  if (bytes.length > maxYamlBytes)
    throw invalid(`is YAML of more than ${maxYamlBytes} bytes; give it as JSON`);
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
