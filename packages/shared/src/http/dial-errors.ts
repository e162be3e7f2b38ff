import { errors } from 'undici';
import { GatewayError } from '../errors/gateway-error.ts';

/** The reason of an error that says that a connection broke. */
export const brokenConnection = 'upstream_reset';

const unreachable = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EACCES']);
const tls = /^(?:ERR_TLS|ERR_SSL|UNABLE_TO_|EPROTO$|HOSTNAME_MISMATCH)|CERT/;

/** The process has no sockets left, which is not the upstream's failure. */
const exhausted = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'EADDRNOTAVAIL']);
/**
 * What went wrong between here and an upstream, by the codes of undici, the socket and the TLS layer. Also for errors of a
 * response body while it is being read.
 */
export function toDialError(error: unknown, originName: string): GatewayError {
  if (error instanceof GatewayError) return error;
  const code = codeOf(error);
  const fail = (what: string, options: { reason: string }) =>
    new GatewayError('upstream_failed', `'${originName}' ${what}.`, { ...options, cause: error });
  if (isUnsendable(error)) {
    return new GatewayError(
      'invalid_request',
      'A header or the path holds characters that HTTP does not allow.',
      { reason: 'request_not_sendable', cause: error },
    );
  }
  if (exhausted.has(code)) {
    return new GatewayError('overloaded', 'The gateway has no sockets left.', {
      reason: 'sockets_exhausted',
      cause: error,
    });
  }
  if (code === 'ETIMEDOUT') {
    return new GatewayError('timeout', `'${originName}' did not accept a connection in time.`, {
      reason: 'upstream_connect_timeout',
      cause: error,
    });
  }
  if (unreachable.has(code)) return fail('cannot be reached', { reason: 'upstream_refused' });
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    return fail('sent headers that are too large', { reason: 'upstream_headers_too_large' });
  }
  // The parser also complains when the connection ends inside an answer; it then has no bytes to blame.
  if (error instanceof errors.HTTPParserError && 'data' in error && error.data) {
    return fail('sent what is not HTTP', { reason: 'upstream_protocol_error' });
  }
  if (tls.test(code)) {
    return fail('could not be reached over TLS with a valid certificate', { reason: 'upstream_tls' });
  }
  return fail('broke the connection', { reason: brokenConnection });
}

/** Whether undici refused the request before it sent anything. */
export function isUnsendable(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
