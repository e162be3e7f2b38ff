import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import type { FastifyRequest } from 'fastify';
import type * as z from 'zod';
import { readYaml, type Source } from '../dsl/source.ts';

/** Media types of bodies that hold a definition (RFC 9512 for YAML). */
export const definitionMediaTypes = [
  'application/json',
  'application/yaml',
  'application/x-yaml',
  'text/yaml',
];

/** The body as a document; YAML keeps its lines. */
export function readSource(request: FastifyRequest): Source {
  const body = bodyOf(request);
  const isYaml = /yaml/.test(request.headers['content-type'] ?? '');
  if (isYaml) return readYaml(body.toString('utf8'));
  return { value: parseJson(body), lineOf: () => undefined };
}

/** Parses a small JSON body; an absent one is `{}`. Every mistake is named. */
export function readFields<Schema extends z.ZodType>(
  request: FastifyRequest,
  schema: Schema,
): z.output<Schema> {
  const body = bodyOf(request);
  return checkFields(body.length === 0 ? {} : parseJson(body), schema);
}

/** @throws GatewayError invalid_request (`request_invalid`) */
export function checkFields<Schema extends z.ZodType>(value: unknown, schema: Schema): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map(issue => ({
    pointer: issue.path.map(part => `/${String(part)}`).join(''),
    message: issue.message,
  }));
  const [first] = errors;
  throw new GatewayError('invalid_request', `${first?.pointer || 'The request'}: ${first?.message}.`, {
    reason: 'request_invalid',
    ...(first !== undefined && { param: first.pointer }),
    details: { errors },
  });
}

function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}
