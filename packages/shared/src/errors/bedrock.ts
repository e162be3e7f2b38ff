import type { ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';
import type { ErrorKind, GatewayError } from './gateway-error.ts';

const types: Readonly<Record<ErrorKind, string>> = {
  invalid_request: 'ValidationException',
  unauthenticated: 'UnrecognizedClientException',
  budget_exceeded: 'ServiceQuotaExceededException',
  permission_denied: 'AccessDeniedException',
  not_found: 'ResourceNotFoundException',
  method_not_allowed: 'ValidationException',
  conflict: 'ConflictException',
  precondition_failed: 'ValidationException',
  too_large: 'ValidationException',
  unsupported_media_type: 'ValidationException',
  precondition_required: 'ValidationException',
  rate_limited: 'ThrottlingException',
  cancelled: 'ValidationException',
  internal: 'InternalServerException',
  not_implemented: 'ValidationException',
  upstream_failed: 'ModelErrorException',
  overloaded: 'ServiceUnavailableException',
  timeout: 'ModelTimeoutException',
};

export function bedrockErrorType(error: GatewayError): string {
  return types[error.kind];
}

/** `{ message }` with the error's name in `x-amzn-errortype`, as the AWS SDKs read it. */
export const bedrockErrors: ErrorRenderer = (error, context) => ({
  status: error.status,
  headers: {
    ...errorHeaders(error, 'application/json'),
    'x-amzn-errortype': bedrockErrorType(error),
    'x-amzn-requestid': context.requestId,
  },
  body: JSON.stringify({
    message: error.publicMessage,
    reason: error.reason,
    ...(error.param !== undefined && { param: error.param }),
    ...(error.details && { details: error.details }),
  }),
});
