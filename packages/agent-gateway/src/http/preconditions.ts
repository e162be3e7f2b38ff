import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { readEtag } from '@strata/shared/http/etag.ts';
import type { FastifyRequest } from 'fastify';
import type { Expected } from '../domain/expected.ts';

/**
 * `If-Match` and `If-None-Match: *` (RFC 9110 section 13.1), both left out by those who do not mind.
 *
 * @throws GatewayError precondition_failed (`if_match_invalid`).
 */
export function readExpected({ headers }: FastifyRequest): Expected {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  if (match === undefined && noneMatch === undefined) return { type: 'any' };
  if (match === undefined && noneMatch === '*') return { type: 'absent' };
  const revision = match === undefined || noneMatch !== undefined ? undefined : readEtag(match);
  if (revision !== undefined) return revision === '*' ? { type: 'present' } : { type: 'revision', revision };
  const param = noneMatch === undefined ? 'if-match' : 'if-none-match';
  throw new GatewayError('precondition_failed', `This \`${param}\` is no ETag of this resource, nor \`*\`.`, {
    reason: 'if_match_invalid',
    param,
  });
}

export function unexpected(): GatewayError {
  return new GatewayError('precondition_failed', 'It was changed since it was read, or is there already.', {
    reason: 'revision_mismatch',
  });
}
