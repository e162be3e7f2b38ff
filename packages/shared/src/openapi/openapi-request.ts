import { GatewayError } from '../errors/gateway-error.ts';
import { isJson, type OpenapiOperation, type OpenapiParameter } from './openapi-document.ts';

/** A request as an operation wants it. */
export interface OpenapiRequest {
  readonly method: string;
  /** Path and query, to be put behind the address of the server. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** The argument that is the whole body. Parameters of that name keep theirs; the body is then given by its members. */
export const bodyArgument = 'body';

/** JSON Schema of the arguments that `buildOpenapiRequest` takes for this operation. */
export function argumentsSchemaOf({ parameters, body }: OpenapiOperation): Readonly<Record<string, unknown>> {
  const properties = Object.fromEntries(
    parameters.map(({ name, schema, description }) => [
      name,
      { ...(typeof schema === 'object' ? schema : {}), ...(description !== undefined && { description }) },
    ]),
  );
  const required = parameters.filter(each => each.required).map(each => each.name);
  return {
    type: 'object',
    properties: { ...properties, ...(body !== undefined && { [bodyArgument]: body.schema }) },
    required: [...required, ...(body?.required ? [bodyArgument] : [])],
    additionalProperties: false,
  };
}

/**
 * Puts arguments where the operation wants them. Arguments that are no parameters are members of the body.
 *
 * @throws GatewayError invalid_request (`openapi_argument_missing`, `openapi_argument_unknown`, `openapi_argument_invalid`).
 */
export function buildOpenapiRequest(
  operation: OpenapiOperation,
  given: Readonly<Record<string, unknown>>,
): OpenapiRequest {
  const rest = new Map(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  const cookies: string[] = [];
  let { path } = operation;
  for (const parameter of operation.parameters) {
    const value = rest.get(parameter.name);
    rest.delete(parameter.name);
    if (value === undefined) {
      if (parameter.required) throw missing(operation, parameter.name);
      continue;
    }
    if (parameter.in === 'query') addToQuery(query, parameter, value);
    else if (parameter.in === 'path')
      path = path.replaceAll(`{${parameter.name}}`, encodeSegment(parameter.name, toText(value)));
    else if (parameter.in === 'header') headers[parameter.name.toLowerCase()] = toText(value);
    else cookies.push(`${parameter.name}=${encodeURIComponent(toText(value))}`);
  }
  if (cookies.length > 0) headers.cookie = cookies.join('; ');
  const body = encodeBody(operation, rest);
  if (body !== null) headers['content-type'] = operation.body?.mediaType ?? 'application/json';
  const search = query.toString();
  return { method: operation.method, path: search === '' ? path : `${path}?${search}`, headers, body };
}

function encodeBody(operation: OpenapiOperation, rest: ReadonlyMap<string, unknown>): string | null {
  const { body, id } = operation;
  if (body === undefined) {
    const [unknown] = rest.keys();
    if (unknown === undefined) return null;
    throw new GatewayError('invalid_request', `The operation '${id}' has no argument '${unknown}'.`, {
      reason: 'openapi_argument_unknown',
      param: unknown,
    });
  }
  if (rest.size === 0) {
    if (body.required) throw missing(operation, bodyArgument);
    return null;
  }
  const value = rest.size === 1 && rest.has(bodyArgument) ? rest.get(bodyArgument) : Object.fromEntries(rest);
  if (isJson(body.mediaType)) return JSON.stringify(value);
  if (
    body.mediaType.startsWith('application/x-www-form-urlencoded') &&
    typeof value === 'object' &&
    value !== null
  )
    return new URLSearchParams(
      Object.entries(value).map(([key, each]): [string, string] => [key, toText(each)]),
    ).toString();
  return toText(value);
}

/** OpenAPI 3.1, "Style Values": `form` with or without `explode`, `spaceDelimited`, `pipeDelimited`, `deepObject`. */
function addToQuery(
  query: URLSearchParams,
  { name, style, explode }: OpenapiParameter,
  value: unknown,
): void {
  if (Array.isArray(value)) {
    const separator = style === 'spaceDelimited' ? ' ' : style === 'pipeDelimited' ? '|' : ',';
    if (explode) for (const each of value) query.append(name, toText(each));
    else query.append(name, value.map(toText).join(separator));
    return;
  }
  if (typeof value !== 'object' || value === null) {
    query.append(name, toText(value));
    return;
  }
  const entries = Object.entries(value);
  if (style === 'deepObject')
    for (const [key, each] of entries) query.append(`${name}[${key}]`, toText(each));
  else if (explode) for (const [key, each] of entries) query.append(key, toText(each));
  else query.append(name, entries.flatMap(([key, each]) => [key, toText(each)]).join(','));
}

/** A segment of its own. `.` and `..` lead out of it however they are encoded (WHATWG URL, "dot path segment"), so they are refused. */
function encodeSegment(name: string, text: string): string {
  if (/^(\.|%2e){1,2}$/i.test(text)) {
    throw new GatewayError('invalid_request', `'${text}' cannot be the path argument '${name}'.`, {
      reason: 'openapi_argument_invalid',
      param: name,
    });
  }
  return encodeURIComponent(text);
}

function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(toText).join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function missing(operation: OpenapiOperation, name: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The operation '${operation.id}' needs the argument '${name}'.`,
    {
      reason: 'openapi_argument_missing',
      param: name,
    },
  );
}
