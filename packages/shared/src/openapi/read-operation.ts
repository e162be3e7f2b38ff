import * as z from 'zod';
import { invalid, type References } from './inline-references.ts';
import {
  isJson,
  type OpenapiBody,
  type OpenapiOperation,
  type OpenapiParameter,
} from './openapi-operation.ts';

/** Where an operation stands in its document. */
export interface OperationPlace {
  readonly path: string;
  readonly method: string;
  /** What stands beside it: the other methods, and what they share. */
  readonly item: Readonly<Record<string, unknown>>;
}

/** The argument that is the whole body. */
export const bodyArgument = 'body';

const text = z.string().optional().catch(undefined);
const plainText = z.union([z.string(), z.number(), z.boolean()]).transform(String);
/** With the defaults of their variables ("Server Variable Object"). */
export const servers = z
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
const content = z.record(z.string(), z.unknown()).default({});
const mediaTypeSchema = z.looseObject({ schema: z.unknown().optional(), encoding: encoding.prefault({}) });
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
  summary: text,
  description: text,
  parameters: z.array(z.unknown()).default([]),
  requestBody: z.unknown().optional(),
  servers,
});
const bodySchema = z.looseObject({ required: z.boolean().default(false), content });

type Declared = z.output<typeof parameterSchema>;

/** `operationId`, else made of method and path. */
export function placeName({ path, method, item }: OperationPlace): string {
  const { operationId } = looseObject(item[method]);
  if (typeof operationId === 'string' && operationId !== '') return operationId;
  return `${method}_${path.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_|_$/g, '')}`;
}

/**
 * Reads one operation. Each of its schemas is read by itself, so that one that is large takes nothing from the others.
 *
 * @throws GatewayError invalid_request (`openapi_invalid`)
 */
export function readOperation(place: OperationPlace, references: References): OpenapiOperation {
  const { path, method, item } = place;
  const at = `has a mistake at ${method.toUpperCase()} ${path}`;
  const found = check(operationSchema, references.follow(item[method]), at);
  const declare = (given: unknown) => check(parameterSchema, references.follow(given), at);
  const shared = Array.isArray(item.parameters) ? item.parameters : [];
  const declared = lastOfEach([...shared, ...found.parameters].map(declare));
  const shortened = new Set<string>();
  const inline = (schema: unknown, part: string) => {
    const { value, isCut } = references.inline(schema);
    if (isCut) shortened.add(part);
    return value;
  };
  const body =
    found.requestBody === undefined
      ? undefined
      : bodyOf(check(bodySchema, references.follow(found.requestBody), at), references, inline);
  const named = namedApart([...declared, ...undeclared(path, declared)], body !== undefined);
  return {
    id: placeName(place),
    method: method.toUpperCase(),
    path,
    summary: found.summary,
    description: found.description,
    parameters: named.map(each => toParameter(each, references, inline)),
    body,
    servers: found.servers.length > 0 ? found.servers : servers.catch([]).parse(item.servers),
    shortened: [...shortened],
  };
}

/** Puts what a schema refers to in place; `part` is what is told when something had to be cut. */
type Inline = (schema: unknown, part: string) => unknown;

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

function toParameter(
  given: Declared & { readonly argument: string },
  references: References,
  inline: Inline,
): OpenapiParameter {
  const style = given.style ?? (given.in === 'query' || given.in === 'cookie' ? 'form' : 'simple');
  const [type, described] = Object.entries(given.content)[0] ?? [];
  const schema = given.schema ?? looseObject(references.follow(described)).schema ?? {};
  return {
    name: given.name,
    argument: given.argument,
    in: given.in,
    required: given.required || given.in === 'path',
    description: given.description,
    schema: inline(schema, given.argument),
    style,
    explode: given.explode ?? style === 'form',
    isJson: type !== undefined && isJson(type),
  };
}

function bodyOf(
  body: z.output<typeof bodySchema>,
  references: References,
  inline: Inline,
): OpenapiBody | undefined {
  const types = Object.keys(body.content);
  const mediaType =
    types.find(isJson) ?? types.find(type => type.startsWith('application/x-www-form')) ?? types[0];
  if (mediaType === undefined) return undefined;
  const described = looseObject(references.follow(body.content[mediaType]));
  const { encoding } = mediaTypeSchema.parse(described);
  return {
    mediaType,
    required: body.required,
    schema: inline(described.schema ?? {}, bodyArgument),
    encoding,
  };
}

export function looseObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}; // checked field by field
}

export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(`${what}: /${issue?.path.map(String).join('/') ?? ''} ${issue?.message ?? ''}`, parsed.error);
}
