import type { ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';
import type { ErrorKind, GatewayError } from './gateway-error.ts';

/** `google.rpc.Code` by its name. */
const statuses: Readonly<Record<ErrorKind, string>> = {
  invalid_request: 'INVALID_ARGUMENT',
  unauthenticated: 'UNAUTHENTICATED',
  budget_exceeded: 'RESOURCE_EXHAUSTED',
  permission_denied: 'PERMISSION_DENIED',
  not_found: 'NOT_FOUND',
  method_not_allowed: 'UNIMPLEMENTED',
  conflict: 'ABORTED',
  precondition_failed: 'FAILED_PRECONDITION',
  too_large: 'INVALID_ARGUMENT',
  unsupported_media_type: 'INVALID_ARGUMENT',
  precondition_required: 'FAILED_PRECONDITION',
  rate_limited: 'RESOURCE_EXHAUSTED',
  cancelled: 'CANCELLED',
  internal: 'INTERNAL',
  not_implemented: 'UNIMPLEMENTED',
  upstream_failed: 'INTERNAL',
  overloaded: 'UNAVAILABLE',
  timeout: 'DEADLINE_EXCEEDED',
};

/** `{ error: { code, message, status, details } }`, as `@google/genai` reads it. */
export const geminiErrors: ErrorRenderer = error => ({
  status: error.status,
  headers: errorHeaders(error, 'application/json; charset=utf-8'),
  body: JSON.stringify(geminiErrorBody(error)),
});

/** The chunk that ends a stream with an error: the SDK throws on it. */
export function geminiErrorEvent(error: GatewayError): string {
  return `data: ${JSON.stringify(geminiErrorBody(error))}\n\n`;
}

export function geminiErrorBody(error: GatewayError): object {
  const metadata = {
    ...(error.param !== undefined && { param: error.param }),
    ...(error.details && { details: JSON.stringify(error.details) }),
  };
  const info = {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: error.reason,
    domain: 'strata',
    ...(Object.keys(metadata).length > 0 && { metadata }),
  };
  const retry = {
    '@type': 'type.googleapis.com/google.rpc.RetryInfo',
    retryDelay: `${Math.ceil((error.retryAfterMs ?? 0) / 1000)}s`,
  };
  return {
    error: {
      code: error.status,
      message: error.publicMessage,
      status: statuses[error.kind],
      details: error.retryAfterMs === undefined ? [info] : [info, retry],
    },
  };
}
