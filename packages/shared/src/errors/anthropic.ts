import type { ErrorContext, ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';
import type { ErrorKind, GatewayError } from './gateway-error.ts';

const types: Readonly<Record<ErrorKind, string>> = {
  invalid_request: 'invalid_request_error',
  unauthenticated: 'authentication_error',
  budget_exceeded: 'billing_error',
  permission_denied: 'permission_error',
  not_found: 'not_found_error',
  method_not_allowed: 'invalid_request_error',
  conflict: 'invalid_request_error',
  precondition_failed: 'invalid_request_error',
  too_large: 'request_too_large',
  unsupported_media_type: 'invalid_request_error',
  precondition_required: 'invalid_request_error',
  rate_limited: 'rate_limit_error',
  cancelled: 'invalid_request_error',
  internal: 'api_error',
  not_implemented: 'invalid_request_error',
  upstream_failed: 'api_error',
  overloaded: 'overloaded_error',
  timeout: 'timeout_error',
};

/** `{ type: 'error', error: { type, message }, request_id }`, as the `@anthropic-ai/sdk` reads it. */
export const anthropicErrors: ErrorRenderer = (error, context) => ({
  status: error.status,
  headers: { ...errorHeaders(error, 'application/json; charset=utf-8'), 'request-id': context.requestId },
  body: JSON.stringify(anthropicErrorBody(error, context)),
});

/** The `error` event that ends a stream; the SDK throws with its type. */
export function anthropicErrorEvent(error: GatewayError, context: ErrorContext): string {
  return `event: error\ndata: ${JSON.stringify(anthropicErrorBody(error, context))}\n\n`;
}

function anthropicErrorBody(error: GatewayError, context: ErrorContext): object {
  return {
    type: 'error',
    error: {
      type: types[error.kind],
      message: error.publicMessage,
      reason: error.reason,
      ...(error.param !== undefined && { param: error.param }),
      ...(error.details && { details: error.details }),
    },
    request_id: context.requestId,
  };
}
