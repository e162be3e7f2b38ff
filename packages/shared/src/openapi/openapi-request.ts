import { GatewayError } from '../errors/gateway-error.ts';
import { type EncodedBody, encodeBody, shownBody } from './openapi-body.ts';
import type { OpenapiOperation, OpenapiParameter } from './openapi-operation.ts';
import { headerText, pathText, percentEncoded, queryPairs, toText } from './parameter-styles.ts';
import { bodyArgument } from './read-operation.ts';

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
  const query: string[] = [];
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
    if (parameter.in === 'query') query.push(...queryPairs(parameter, value));
    else if (parameter.in === 'path')
      path = path.replaceAll(`{${parameter.name}}`, () => segmentOf(parameter, value));
    else if (parameter.in === 'header') headers[parameter.name.toLowerCase()] = headerOf(parameter, value);
    else cookies.push(`${parameter.name}=${percentEncoded(toText(value))}`);
  }
  if (cookies.length > 0) headers.cookie = cookies.join('; ');
  const body = bodyOf(operation, rest);
  if (body !== null) headers['content-type'] = body.contentType;
  const search = query.join('&');
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

/** A segment of its own. `.` and `..` lead out of it however they are encoded (WHATWG URL, "dot path segment"), so they are refused, and so is an empty one, which is another address. */
function segmentOf(parameter: OpenapiParameter, value: unknown): string {
  const text = pathText(parameter, value, each => each);
  if (!/^(\.|%2e){0,2}$/i.test(text)) return pathText(parameter, value);
  throw unfit(parameter, `'${text}' cannot be the path argument '${parameter.argument}'.`);
}

/** What a header can hold (RFC 9110 section 5.5). */
function headerOf(parameter: OpenapiParameter, value: unknown): string {
  const text = headerText(parameter, value);
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) return text;
  throw unfit(
    parameter,
    `The argument '${parameter.argument}' goes into a header, which holds no line break and no character past U+00FF.`,
  );
}

function unfit({ argument }: OpenapiParameter, message: string): GatewayError {
  return new GatewayError('invalid_request', message, {
    reason: 'openapi_argument_invalid',
    param: argument,
  });
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
