import type { ErrorContext, ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';
import type { ErrorKind, GatewayError } from './gateway-error.ts';

/** Codes of the JSON-RPC 2.0 specification, section 5.1. */
export const jsonRpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const;

/** From the range that implementations may use (-32000 to -32019): for refusals that JSON-RPC has no code for. */
const refused = -32000;

const codes: Readonly<Record<ErrorKind, number>> = {
  invalid_request: jsonRpcCodes.invalidRequest,
  unauthenticated: refused,
  budget_exceeded: refused,
  permission_denied: refused,
  not_found: refused,
  method_not_allowed: refused,
  conflict: refused,
  precondition_failed: refused,
  too_large: jsonRpcCodes.invalidRequest,
  unsupported_media_type: jsonRpcCodes.invalidRequest,
  precondition_required: refused,
  rate_limited: refused,
  cancelled: refused,
  internal: jsonRpcCodes.internalError,
  not_implemented: jsonRpcCodes.methodNotFound,
  upstream_failed: jsonRpcCodes.internalError,
  overloaded: refused,
  timeout: refused,
};

/** A JSON-RPC error for a request that never got as far as a message with an id. */
export const jsonRpcErrors: ErrorRenderer = (error, context) => ({
  status: error.status,
  headers: errorHeaders(error, 'application/json; charset=utf-8'),
  body: `{"jsonrpc":"2.0","id":null,"error":${jsonRpcErrorObject(error, context)}}`,
});

/** The `error` member, for an answer whose id the caller splices in as it came. */
export function jsonRpcErrorObject(error: GatewayError, context: ErrorContext): string {
  const code = error.reason === 'json_syntax' ? jsonRpcCodes.parseError : codes[error.kind];
  return JSON.stringify({
    code,
    message: error.publicMessage,
    data: {
      reason: error.reason,
      retryable: error.retryable,
      request_id: context.requestId,
      ...(error.param !== undefined && { param: error.param }),
      ...(error.retryAfterMs !== undefined && { retry_after_ms: error.retryAfterMs }),
      ...error.details,
    },
  });
}
