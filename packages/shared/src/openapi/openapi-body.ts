import { randomUUID } from 'node:crypto';
import { GatewayError } from '../errors/gateway-error.ts';
import { isJson, type OpenapiBody } from './openapi-operation.ts';
import { queryPairs, toText, type ValueStyle } from './parameter-styles.ts';

export interface EncodedBody {
  readonly contentType: string;
  readonly bytes: string | Uint8Array;
}

/**
 * A body in the media type of its operation: JSON, a form (`application/x-www-form-urlencoded`, `multipart/form-data`), text, or bytes.
 * JSON has no bytes, so whoever gives some gives them in base64.
 *
 * @throws GatewayError invalid_request (`openapi_argument_invalid`).
 */
export function encodeBody({ mediaType, schema, encoding }: OpenapiBody, value: unknown): EncodedBody {
  const as = (bytes: string | Uint8Array) => ({ contentType: mediaType, bytes });
  if (isJson(mediaType)) return as(JSON.stringify(value));
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isObject && isType(mediaType, 'application/x-www-form-urlencoded')) {
    return as(formOf(value, encoding));
  }
  if (isObject && isType(mediaType, 'multipart/form-data')) return multipart(fieldsOf(value), schema);
  return as(isBinaryBody(mediaType, schema) ? fromBase64('body', value) : toText(value));
}

/** How the schema of arguments shows the body: what is bytes is said to be base64. */
export function shownBody({ mediaType, schema }: OpenapiBody): unknown {
  if (isJson(mediaType)) return schema;
  if (isType(mediaType, 'multipart/form-data')) {
    const members = propertiesOf(schema);
    const shown = Object.entries(members).map(([name, each]) => [name, isBinary(each) ? base64(each) : each]);
    return { ...(schema as object), ...(shown.length > 0 && { properties: Object.fromEntries(shown) }) };
  }
  return isBinaryBody(mediaType, schema) ? base64(schema) : schema;
}

/** Members as their encoding says ("Encoding Object"): lists are several fields, objects are JSON, where nothing else is said. Spaces are as in HTML's forms. */
function formOf(value: object, encoding: OpenapiBody['encoding']): string {
  const pairs = Object.entries(value).flatMap(([name, member]: [string, unknown]) => {
    const { style = 'form', explode = style === 'form' } = encoding[name] ?? {};
    if (Object.hasOwn(encoding, name) && member !== null) return queryPairs({ name, style, explode }, member);
    return fieldsOf({ [name]: member }).flatMap(([, each]) => queryPairs(asText(name), toText(each)));
  });
  return pairs.join('&').replaceAll('%20', '+');
}

function asText(name: string): ValueStyle {
  return { name, style: 'form', explode: true };
}

/** Members of a list are fields of their own ("Encoding Object", `explode`). */
function fieldsOf(value: object): [string, unknown][] {
  return Object.entries(value).flatMap(([name, each]: [string, unknown]) =>
    (Array.isArray(each) ? each : [each])
      .filter(one => one !== undefined && one !== null)
      .map((one): [string, unknown] => [name, one]),
  );
}

/** RFC 7578. */
function multipart(fields: readonly [string, unknown][], schema: unknown): EncodedBody {
  const boundary = `strata-${randomUUID()}`;
  const members = propertiesOf(schema);
  const parts = fields.flatMap(([name, value]) => {
    const member = members[name];
    const isFile = isBinary(member) || isBinary(itemsOf(member));
    const isData = typeof value === 'object';
    const quoted = quote(name);
    const head = [
      `--${boundary}`,
      `Content-Disposition: form-data; name="${quoted}"${isFile ? `; filename="${quoted}"` : ''}`,
      ...(isFile ? ['Content-Type: application/octet-stream'] : []),
      ...(isData ? ['Content-Type: application/json'] : []),
    ];
    const content = isFile ? fromBase64(name, value) : Buffer.from(toText(value));
    return [Buffer.from(`${head.join('\r\n')}\r\n\r\n`), content, Buffer.from('\r\n')];
  });
  const bytes = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]);
  return { contentType: `multipart/form-data; boundary=${boundary}`, bytes };
}

/** As browsers write it (HTML, "multipart/form-data"): nothing in a name ends the line or the quotes. */
function quote(name: string): string {
  return name.replace(/[\r\n"]/g, character => encodeURIComponent(character));
}

function isType(mediaType: string, type: string): boolean {
  return mediaType.split(';', 1)[0]?.trim().toLowerCase() === type;
}

const textTypes = /^(text\/|application\/(.+\+)?xml\b|\*\/\*|application\/x-www-form)/i;
/** Types of which a schema that says `string` means their bytes. */
const byteTypes = /^(image|audio|video|font)\/|^application\/(octet-stream|pdf|zip|gzip)\b/i;

function isBinaryBody(mediaType: string, schema: unknown): boolean {
  if (isBinary(schema)) return true;
  if (textTypes.test(mediaType)) return false;
  return !isText(schema) || byteTypes.test(mediaType);
}

/** `format: binary` of 3.0, which is `contentMediaType` in 3.1, where that is no type of a text. */
function isBinary(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return false;
  const { format, contentMediaType, contentEncoding } = schema as Record<string, unknown>;
  if (format === 'binary') return true;
  if (typeof contentMediaType !== 'string' || contentEncoding !== undefined) return false;
  return !textTypes.test(contentMediaType) && !isJson(contentMediaType);
}

function isText(schema: unknown): boolean {
  const { type } = (schema ?? {}) as { readonly type?: unknown };
  return type === 'string' || (Array.isArray(type) && type.includes('string'));
}

function base64(schema: unknown): object {
  const { format: _format, contentMediaType: _type, ...rest } = (schema ?? {}) as Record<string, unknown>;
  return { ...rest, type: 'string', contentEncoding: 'base64' };
}

function propertiesOf(schema: unknown): Readonly<Record<string, unknown>> {
  const { properties } = (schema ?? {}) as { readonly properties?: Record<string, unknown> };
  return typeof properties === 'object' && properties !== null ? properties : {};
}

function itemsOf(schema: unknown): unknown {
  return (schema as { readonly items?: unknown } | undefined)?.items;
}

/** What cannot stand there, found in one pass: a caller writes the text. */
const notBase64 = /[^A-Za-z0-9+/_=\s-]|=\s*=\s*=|=\s*[^=\s]/;

function fromBase64(name: string, value: unknown): Buffer {
  if (typeof value === 'string' && !notBase64.test(value)) return Buffer.from(value, 'base64');
  throw new GatewayError('invalid_request', `'${name}' must be bytes in base64.`, {
    reason: 'openapi_argument_invalid',
    param: name,
  });
}
