import type { ApiError } from '../http/protocol.ts';

/** The `error` member, in an answer or in a stream. */
export function errorBody(error: ApiError): Record<string, unknown> {
  return {
    message: error.message,
    type: typeOf(error.status),
    param: error.param ?? null,
    code: error.code ?? codes[error.status] ?? null,
  };
}

function typeOf(status: number): string {
  if (status === 429) return 'requests';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

const codes: Readonly<Record<number, string>> = { 429: 'rate_limit_exceeded' };
