import type { ErrorRenderer } from './error-renderer.ts';
import { errorHeaders } from './error-renderer.ts';

/** RFC 9457 problem details. `type` is a name in this installation's error table, not an address to fetch. */
export const problemErrors: ErrorRenderer = (error, context) => ({
  status: error.status,
  headers: errorHeaders(error, 'application/problem+json; charset=utf-8'),
  body: JSON.stringify({
    type: `urn:strata:error:${error.reason}`,
    title: error.kind.replaceAll('_', ' '),
    status: error.status,
    detail: error.publicMessage,
    reason: error.reason,
    retryable: error.retryable,
    request_id: context.requestId,
    ...(error.param !== undefined && { param: error.param }),
    ...error.details,
  }),
});
