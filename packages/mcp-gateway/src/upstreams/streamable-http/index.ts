import * as z from 'zod';
import { remoteOptions, remoteServer } from '../remote-server.ts';
import { credentialsIn, credentialsInUrl } from '../shown-credentials.ts';
import type { Transport } from '../transport.ts';
import { defineUpstream, upstreamOptions } from '../upstream-plugin.ts';
import { HttpTransport } from './http-transport.ts';
import { ModernHttpTransport } from './modern-transport.ts';

/** Tool servers that speak Streamable HTTP. */
export const streamableHttpUpstream = defineUpstream({
  type: 'streamable-http',
  options: z.object({
    ...upstreamOptions,
    url: z.url({ protocol: /^https?$/ }).describe('Address of the MCP endpoint of the server.'),
    ...remoteOptions,
    era: z
      .enum(['auto', 'legacy', 'modern', 'both'])
      .default('auto')
      .describe(
        'Which era of MCP the server speaks: modern (2026-07-28) or legacy (sessions, 2025-11-25 and before). both: either, and each client is spoken for in its own. auto: it is asked once, and again when its answers contradict what it said; one that names only the newer is asked for sessions when a client with one comes.',
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
    const open = new Set<Transport>();
    const remote = remoteServer(deps.name, settings);
    const streams = createStreamBudget(settings.max_streams);
    return {
      kind: 'tcp',
      era: settings.era,
      credentials: [...credentialsIn(remote.headers), ...credentialsInUrl(settings.url)],
      create(events, era) {
        const options = {
          server: deps.name,
          ...remote,
          streams,
          maxMessageBytes: settings.max_result_bytes,
          dialer: deps.dialer,
          clock: deps.clock,
          log: deps.log,
        };
        const transport =
          era === 'modern' ? new ModernHttpTransport(options, events) : new HttpTransport(options, events);
        open.add(transport);
        const close = transport.close.bind(transport);
        transport.close = () => {
          open.delete(transport);
          return close();
        };
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
