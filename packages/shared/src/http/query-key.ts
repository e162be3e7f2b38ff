import type { IncomingHttpHeaders } from 'node:http';

/** Where a route takes a key from the query, it counts as if it came in a header; a header of the client's own goes first. */
export function credentialHeaders(
  { headers, query }: { readonly headers: IncomingHttpHeaders; readonly query: unknown },
  name: string | undefined,
): IncomingHttpHeaders {
  if (name === undefined || headers.authorization !== undefined || headers['x-goog-api-key'] !== undefined)
    return headers;
  const key = (query as Readonly<Record<string, unknown>>)[name]; // parsed into an object by the router
  return typeof key === 'string' ? { ...headers, 'x-goog-api-key': key } : headers;
}
