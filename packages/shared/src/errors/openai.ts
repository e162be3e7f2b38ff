import type { ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';
import type { ErrorKind, GatewayError } from './gateway-error.ts';

const types: Readonly<Record<ErrorKind, string>> = {
  invalid_request: 'invalid_request_error',
  unauthenticated: 'authentication_error',
  budget_exceeded: 'insufficient_quota',
  permission_denied: 'permission_error',
  not_found: 'not_found_error',
  method_not_allowed: 'invalid_request_error',
  conflict: 'conflict_error',
  precondition_failed: 'invalid_request_error',
  too_large: 'invalid_request_error',
  unsupported_media_type: 'invalid_request_error',
  precondition_required: 'invalid_request_error',
  rate_limited: 'rate_limit_error',
  cancelled: 'invalid_request_error',
  internal: 'server_error',
  not_implemented: 'invalid_request_error',
  upstream_failed: 'server_error',
  overloaded: 'server_error',
  timeout: 'server_error',
};

/** `{ error: { message, type, param, code } }`, as the `openai` SDK reads it. */
export const openaiErrors: ErrorRenderer = error => ({
  status: error.status,
  headers: errorHeaders(error, 'application/json; charset=utf-8'),
  body: JSON.stringify(openaiErrorBody(error)),
});

/** The event that ends a stream with an error: the SDK throws on a chunk that holds `error`. No `[DONE]` follows. */
export function openaiErrorEvent(error: GatewayError): string {
  return `data: ${JSON.stringify(openaiErrorBody(error))}\n\n`;
}

function openaiErrorBody(error: GatewayError): object {
  return {
    error: {
      message: error.publicMessage,
      type: types[error.kind],
      param: error.param ?? null,
      code: error.reason,
      ...(error.details && { details: error.details }),
    },
  };
}
