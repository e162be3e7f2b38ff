import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** Whether web pages of an origin may call a route. */
export type IsInvitedPage = (origin: string) => boolean;

const methods: ReadonlySet<string> = new Set(['POST', 'GET', 'DELETE']);
const maxAgeSeconds = '600';
const headerNames = /^[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}$/;
/** What a page's script may read of an answer besides its body. */
const exposed = 'mcp-session-id, mcp-protocol-version, www-authenticate, retry-after, x-request-id';

/** What lets the script of an invited page read an answer (Fetch, "CORS protocol"). Keys travel in headers, so no cookies are asked for. */
export function pageHeaders(
  headers: IncomingHttpHeaders,
  isInvited: IsInvitedPage | undefined,
): Readonly<Record<string, string>> | undefined {
  const { origin } = headers;
  if (origin === undefined || isInvited === undefined || !isInvited(origin)) return undefined;
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': exposed, vary: 'Origin' };
}

/** The method that a browser asks to use (Fetch, "CORS-preflight fetch"); undefined when the request is no such question. */
export function preflightMethod({ method, headers }: IncomingMessage): string | undefined {
  const wanted = headers['access-control-request-method'];
  return method === 'OPTIONS' && headers.origin !== undefined && methods.has(wanted ?? '')
    ? wanted
    : undefined;
}

/** Lets the browser of an invited page go on. It sends no key with its question, and learns nothing else. */
export function answerPreflight(
  { headers }: IncomingMessage,
  response: ServerResponse,
  allowed: { readonly page: Readonly<Record<string, string>>; readonly methods: readonly string[] },
): void {
  const asked = headers['access-control-request-headers'];
  response.writeHead(204, {
    ...allowed.page,
    'access-control-allow-methods': allowed.methods.join(', '),
    ...(asked !== undefined && headerNames.test(asked) && { 'access-control-allow-headers': asked }),
    'access-control-max-age': maxAgeSeconds,
    vary: 'Origin, Access-Control-Request-Headers',
  });
  response.end();
}
