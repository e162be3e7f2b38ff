import { secretString } from '@strata/shared/config/secret-string.ts';
import type { Origin } from '@strata/shared/http/dialer.ts';
import type { Secret } from '@strata/shared/secret.ts';
import * as z from 'zod';

/** Headers that belong to the protocol or to one hop; the operator cannot set them. */
const reservedHeader =
  /^(host|content-length|content-type|accept|connection|transfer-encoding|mcp-.*|last-event-id)$/i;

/** RFC 9110, sections 5.1 and 5.5. */
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What every kind of server that is reached over HTTP can be told. */
export const remoteOptions = {
  headers: z
    .record(
      z
        .string()
        .regex(headerName, 'this is no name of a header')
        .refine(name => !reservedHeader.test(name), 'this header is set by the gateway itself'),
      secretString().refine(
        value => headerValue.test(value.reveal()),
        'a header holds no line break and no character past U+00FF',
      ),
    )
    .default({})
    .describe(
      "Headers sent with every request, such as the server's own credential. Credentials of clients are never passed on.",
    ),
  allow_private: z
    .boolean()
    .default(false)
    .describe(
      'Whether the address may lead to a loopback or private network. Needed for a server on the same machine.',
    ),
};

export interface RemoteServer {
  readonly origin: Origin;
  /** Path and query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

export function remoteServer(
  name: string,
  options: {
    readonly url: string;
    readonly headers: Readonly<Record<string, Secret>>;
    readonly allow_private: boolean;
  },
): RemoteServer {
  const url = new URL(options.url);
  const headers = Object.entries(options.headers).map(([key, value]) => [key.toLowerCase(), value.reveal()]);
  return {
    origin: { name, url: new URL('/', url), allowPrivate: options.allow_private },
    path: url.pathname + url.search,
    headers: Object.fromEntries(headers) as Record<string, string>,
  };
}
