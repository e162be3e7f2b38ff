import { secretString } from '@strata/shared/config/secret-string.ts';
import * as z from 'zod';
import type { Transport } from '../transport.ts';
import { defineUpstream, upstreamOptions } from '../upstream-plugin.ts';
import { HttpTransport } from './http-transport.ts';
import { ModernHttpTransport } from './modern-transport.ts';

/** Headers that belong to the protocol or to one hop; the operator cannot set them. */
const reservedHeader =
  /^(host|content-length|content-type|accept|connection|transfer-encoding|mcp-.*|last-event-id)$/i;

/** Tool servers that speak Streamable HTTP. */
export const streamableHttpUpstream = defineUpstream({
  type: 'streamable-http',
  options: z.object({
    ...upstreamOptions,
    url: z.url({ protocol: /^https?$/ }).describe('Address of the MCP endpoint of the server.'),
    headers: z
      .record(
        z.string().refine(name => !reservedHeader.test(name), 'this header is set by the gateway itself'),
        secretString(),
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
    era: z
      .enum(['auto', 'legacy', 'modern'])
      .default('auto')
      .describe(
        'Which era of MCP the server speaks: modern (2026-07-28) or legacy (sessions, 2025-11-25 and before). auto: it is asked once, and again when its answers contradict what it said.',
      ),
    max_streams: z
      .int()
      .min(0)
      .max(100_000)
      .default(256)
      .describe(
        'Sessions for which the stream of what the server sends by itself is held open at a time; the others get what belongs to their calls. Keep it well below `network.max_connections_per_origin`.',
      ),
  }),
  create(settings, deps) {
    const headers = Object.fromEntries(
      Object.entries(settings.headers).map(([name, value]) => [name.toLowerCase(), value.reveal()]),
    );
    const open = new Set<Transport>();
    const url = new URL(settings.url);
    const origin = { name: deps.name, url: new URL('/', url), allowPrivate: settings.allow_private };
    const streams = createStreamBudget(settings.max_streams);
    return {
      kind: 'tcp',
      era: settings.era,
      create(events, era) {
        const options = {
          server: deps.name,
          origin,
          path: url.pathname + url.search,
          streams,
          headers,
          maxMessageBytes: settings.max_result_bytes,
          dialer: deps.dialer,
          clock: deps.clock,
          log: deps.log,
        };
        const transport =
          era === 'modern' ? new ModernHttpTransport(options, events) : new HttpTransport(options, events);
        open.add(transport);
        return transport;
      },
      async close() {
        await Promise.all([...open].map(transport => transport.close()));
      },
    };
  },
});

/** Streams take a connection each for as long as their session lives: without a limit no call would get one any more. */
function createStreamBudget(max: number) {
  let held = 0;
  return {
    admit: () => held < max && ++held > 0,
    release: () => {
      held--;
    },
  };
}
