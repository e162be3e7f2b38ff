import { GatewayError } from '../errors/gateway-error.ts';
import { type EncodedBody, encodeBody, shownBody, toText } from './openapi-body.ts';
import { bodyArgument, type OpenapiOperation, type OpenapiParameter } from './openapi-document.ts';

/** A request as an operation wants it. */
export interface OpenapiRequest {
  readonly method: string;
  /** Path and query, to be put behind the address of the server. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
}

/** JSON Schema of the arguments that `buildOpenapiRequest` takes for this operation. */
export function argumentsSchemaOf({ parameters, body }: OpenapiOperation): Readonly<Record<string, unknown>> {
  const properties = Object.fromEntries(
    parameters.map(({ argument, schema, description }) => [
      argument,
      { ...(typeof schema === 'object' ? schema : {}), ...(description !== undefined && { description }) },
    ]),
  );
  const required = parameters.filter(each => each.required).map(each => each.argument);
  return {
    type: 'object',
    properties: { ...properties, ...(body !== undefined && { [bodyArgument]: shownBody(body) }) },
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
    const given = rest.get(parameter.argument);
    rest.delete(parameter.argument);
    if (given === undefined) {
      if (parameter.required) throw missing(operation, parameter.argument);
      continue;
    }
    const value = parameter.isJson ? JSON.stringify(given) : given;
    if (parameter.in === 'query') addToQuery(query, parameter, value);
    else if (parameter.in === 'path')
      path = path.replaceAll(
        `{${parameter.name}}`,
        encodeSegment(parameter.argument, simple(parameter, value)),
      );
    else if (parameter.in === 'header') headers[parameter.name.toLowerCase()] = simple(parameter, value);
    else cookies.push(`${parameter.name}=${encodeURIComponent(toText(value))}`);
  }
  if (cookies.length > 0) headers.cookie = cookies.join('; ');
  const body = bodyOf(operation, rest);
  if (body !== null) headers['content-type'] = body.contentType;
  const search = query.toString();
  return {
    method: operation.method,
    path: search === '' ? path : `${path}?${search}`,
    headers,
    body: body?.bytes ?? null,
  };
}

function bodyOf(operation: OpenapiOperation, rest: ReadonlyMap<string, unknown>): EncodedBody | null {
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
  return encodeBody(body, value);
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

/** A segment of its own. `.` and `..` lead out of it however they are encoded (WHATWG URL, "dot path segment"), so they are refused, and so is an empty one, which is another address. */
function encodeSegment(name: string, text: string): string {
  if (/^(\.|%2e){0,2}$/i.test(text)) {
    throw new GatewayError('invalid_request', `'${text}' cannot be the path argument '${name}'.`, {
      reason: 'openapi_argument_invalid',
      param: name,
    });
  }
  return encodeURIComponent(text);
}

/** The style of paths and headers: `1,2` and `a,1,b,2`, or `a=1,b=2` when exploded. */
function simple({ explode }: OpenapiParameter, value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return toText(value);
  const entries = Object.entries(value).map(([key, each]) => [key, toText(each)]);
  return entries.map(entry => entry.join(explode ? '=' : ',')).join(',');
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
