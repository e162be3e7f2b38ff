import { isIP } from 'node:net';
import * as z from 'zod';
import { milliseconds } from '../config/milliseconds.ts';

const count = (value: number) => z.number().int().min(1).default(value);

const network = z
  .string()
  .refine(isNetwork, { error: 'expected a network such as 10.20.0.0/16 or fd12:3456::/32' });
const nameServer = z.string().refine(isNameServer, {
  error: 'expected the address of a name server, such as 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:53',
});

const dnsSection = z
  .strictObject({
    servers: z
      .array(nameServer)
      .max(8)
      .default([])
      .describe('Name servers to ask. Empty: the operating system resolves names. At start.'),
    timeout_ms: milliseconds(3000).describe('Time for one name lookup. At start.'),
    fresh_ms: z
      .number()
      .int()
      .min(0)
      .max(60_000)
      .default(5000)
      .describe('How long an answer is used for new connections without asking again. At start.'),
    stale_ms: z
      .number()
      .int()
      .min(0)
      .max(60_000)
      .default(60_000)
      .describe('How long the last good answer is used while lookups fail. At start.'),
  })
  .prefault({})
  .describe('How the names of upstreams are resolved.');

/** How the gateways reach upstreams. */
export const networkSection = z
  .strictObject({
    connect_timeout_ms: milliseconds(5000).describe(
      'Time to get a connection to an upstream: waiting for a free one, name lookup, TCP and TLS. At start.',
    ),
    headers_timeout_ms: milliseconds(300_000).describe(
      'Time for an upstream to begin its answer, where nothing else says so. At start.',
    ),
    body_idle_timeout_ms: milliseconds(300_000).describe(
      'Longest silence inside an answer, where nothing else says so. At start.',
    ),
    keep_alive_ms: milliseconds(30_000).describe(
      'How long an idle connection to an upstream is kept. At start.',
    ),
    max_connections_per_origin: count(5000).describe(
      'Connections to one upstream address; each carries one request at a time. At start.',
    ),
    max_waiting_per_origin: z
      .number()
      .int()
      .min(0)
      .default(1000)
      .describe(
        'Requests that wait for a connection to one upstream address; more are refused at once. At start.',
      ),
    max_origins: count(1024).describe(
      'Upstream addresses with open connections; beyond it the longest unused one is closed. At start.',
    ),
    max_response_header_bytes: z
      .number()
      .int()
      .min(1024)
      .default(32_768)
      .describe('Largest head of an answer. At start.'),
    allow_private_networks: z
      .array(network)
      .max(1000)
      .default([])
      .describe(
        'Private networks that every upstream may be on, as CIDR. Link-local and metadata addresses are never among them. At start.',
      ),
    tls_ca_file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'PEM file of authorities that are trusted for upstreams, beside the public ones. Certificates are always verified. At start.',
      ),
    dns: dnsSection,
  })
  .prefault({})
  .describe(
    'How upstreams are reached. Private addresses are refused unless the upstream says `allow_private`.',
  );

export type NetworkConfig = ReturnType<typeof networkSection.parse>;

function isNetwork(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/');
  const family = isIP(address);
  const isPrefix = /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
  return family !== 0 && isPrefix && rest.length === 0 && !address.includes('%');
}

function isNameServer(text: string): boolean {
  const bare = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1];
  if (bare !== undefined) return isIP(bare) === 6;
  return isIP(text) !== 0 || isIP(text.replace(/:\d{1,5}$/, '')) === 4;
}
