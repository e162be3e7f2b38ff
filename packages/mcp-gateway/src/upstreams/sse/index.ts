import * as z from 'zod';
import { remoteOptions, remoteServer } from '../remote-server.ts';
import { credentialsIn, credentialsInUrl } from '../shown-credentials.ts';
import type { Transport } from '../transport.ts';
import { defineUpstream, upstreamOptions } from '../upstream-plugin.ts';
import { SseTransport } from './sse-transport.ts';

/** Tool servers of the first revision (2024-11-05), which speak over one event stream and separate POSTs. */
export const sseUpstream = defineUpstream({
  type: 'sse',
  options: z.object({
    ...upstreamOptions,
    url: z.url({ protocol: /^https?$/ }).describe('Address of the event stream, often ending in `/sse`.'),
    ...remoteOptions,
  }),
  create(settings, deps) {
    const remote = remoteServer(deps.name, settings);
    const open = new Set<Transport>();
    return {
      kind: 'tcp',
      era: 'legacy',
      credentials: [...credentialsIn(remote.headers), ...credentialsInUrl(settings.url)],
      create(events) {
        const transport: SseTransport = new SseTransport(
          {
            server: deps.name,
            remote,
            openTimeoutMs: settings.open_timeout_ms,
            maxMessageBytes: settings.max_result_bytes,
            dialer: deps.dialer,
            clock: deps.clock,
            log: deps.log,
            onClosed: () => open.delete(transport),
          },
          events,
        );
        open.add(transport);
        return transport;
      },
      async close() {
        await Promise.all([...open].map(transport => transport.close()));
      },
    };
  },
});
