import { GatewayError } from '../errors/gateway-error.ts';

/**
 * What went wrong between here and an upstream, by the codes of undici, the socket and the TLS layer. Also for errors of a
 * response body while it is being read.
 */
export function toDialError(error: unknown, originName: string): GatewayError {
  if (error instanceof GatewayError) return error;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  const because = { cause: error };
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return new GatewayError('timeout', `'${originName}' did not accept a connection in time.`, {
        reason: 'upstream_connect_timeout',
        ...because,
      });
    case 'UND_ERR_HEADERS_TIMEOUT':
      return new GatewayError('timeout', `'${originName}' did not begin its answer in time.`, {
        reason: 'upstream_headers_timeout',
        ...because,
      });
    case 'UND_ERR_BODY_TIMEOUT':
      return new GatewayError('timeout', `'${originName}' fell silent in the middle of its answer.`, {
        reason: 'upstream_body_timeout',
        ...because,
      });
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new GatewayError('upstream_failed', `'${originName}' cannot be reached.`, {
        reason: 'upstream_refused',
        ...because,
      });
    case 'UND_ERR_HEADERS_OVERFLOW':
      return new GatewayError('upstream_failed', `'${originName}' sent headers that are too large.`, {
        reason: 'upstream_headers_too_large',
        ...because,
      });
    case 'UND_ERR_INVALID_ARG':
      return new GatewayError(
        'invalid_request',
        'A header or the path holds characters that HTTP does not allow.',
        { reason: 'request_not_sendable', ...because },
      );
    default:
      break;
  }
  const isParserError = error instanceof Error && error.name === 'HTTPParserError'; // undici gives some of them no code
  if (isParserError || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return new GatewayError('upstream_failed', `'${originName}' sent what is not HTTP.`, {
      reason: 'upstream_protocol_error',
      ...because,
    });
  }
  if (
    code.startsWith('ERR_TLS') ||
    code.startsWith('ERR_SSL') ||
    code.includes('CERT') ||
    code.startsWith('UNABLE_TO_')
  ) {
    return new GatewayError('upstream_failed', `The certificate of '${originName}' is not valid.`, {
      reason: 'upstream_tls',
      ...because,
    });
  }
  return new GatewayError('upstream_failed', `The connection to '${originName}' broke.`, {
    reason: 'upstream_reset',
    ...because,
  });
}
