import * as z from 'zod';

const milliseconds = (value: number) => z.number().int().min(1).default(value);

/** How the gateways reach upstreams. */
export const networkSection = z
  .strictObject({
    connect_timeout_ms: milliseconds(5000).describe(
      'Time to connect to an upstream, TLS included. At start.',
    ),
    headers_timeout_ms: milliseconds(300_000).describe(
      'Time for an upstream to begin its answer, where nothing else says so. At start.',
    ),
    body_idle_timeout_ms: milliseconds(300_000).describe(
      'Longest silence inside an answer, where nothing else says so. At start.',
    ),
    dns_timeout_ms: milliseconds(3000).describe('Time for one name lookup. At start.'),
    max_connections_per_origin: z
      .number()
      .int()
      .min(1)
      .default(512)
      .describe('Connections to one upstream address. At start.'),
    keep_alive_ms: milliseconds(30_000).describe(
      'How long an idle connection to an upstream is kept. At start.',
    ),
  })
  .prefault({})
  .describe(
    'How upstreams are reached. Private addresses are refused unless the upstream says `allow_private`.',
  );

export type NetworkConfig = ReturnType<typeof networkSection.parse>;
