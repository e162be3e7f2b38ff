import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyRequest } from 'fastify';
import type { Expected } from '../domain/store-item.ts';

/** `"7"`: the revision of what is shown. */
export const etagOf = (revision: number) => `"${revision}"`;

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
  if (match === '*' && noneMatch === undefined) return { type: 'present' };
  const [, revision] = /^"(\d{1,15})"$/.exec(match ?? '') ?? [];
  if (revision !== undefined && noneMatch === undefined)
    return { type: 'revision', revision: Number(revision) };
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
