import type { GatewayError } from './gateway-error.ts';

export interface RenderedError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface ErrorContext {
  readonly requestId: string;
  /** What was asked, without the query, as it was written; undefined for what is no request of its own. */
  readonly path?: string;
}

/** Puts a GatewayError into the shape of one protocol. Every shape tells the same: what was wrong, where, what to do. */
export type ErrorRenderer = (error: GatewayError, context: ErrorContext) => RenderedError;

/**
 * Headers that all protocols share. `x-should-retry: false` stops the official SDKs from repeating what cannot succeed: by
 * themselves they retry every 429 and 5xx.
 */
export function errorHeaders(error: GatewayError, contentType: string): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': contentType,
    ...retryHeaders(error),
    ...challengeHeaders(error),
  };
  if (!error.retryable) headers['x-should-retry'] = 'false';
  return headers;
}

/** `Retry-After` (RFC 9110, section 10.2.3), for an error that passes with time. */
export function retryHeaders({ retryAfterMs }: GatewayError): Record<string, string> {
  if (retryAfterMs === undefined) return {};
  return { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
}

/** `WWW-Authenticate` (RFC 9110 section 11.6.1), with why the credential was not taken, if one was sent (RFC 6750 section 3). */
function challengeHeaders({ kind, reason }: GatewayError): Record<string, string> {
  if (kind !== 'unauthenticated') return {};
  const bearer = 'Bearer realm="strata"';
  return { 'www-authenticate': reason === 'key_missing' ? bearer : `${bearer}, error="invalid_token"` };
}
