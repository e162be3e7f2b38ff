import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** The place of a list that is ordered by several names. */
export const nameCursor = (...names: readonly string[]) =>
  Buffer.from(names.join('\n')).toString('base64url');

/** @throws GatewayError invalid_request (`request_invalid`) when it is none that was given: a name has no U+0000. */
export function readNameCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (!text.includes('\0')) return text;
  throw new GatewayError('invalid_request', '/cursor: expected the cursor of a page.', {
    reason: 'request_invalid',
    param: '/cursor',
  });
}
