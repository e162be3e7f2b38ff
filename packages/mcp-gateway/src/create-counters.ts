import type { Meter } from '@opentelemetry/api';

export type Counters = ReturnType<typeof createCounters>;

/** What happened that no call tells of. */
export function createCounters(meter: Meter) {
  const stray = meter.createCounter('strata.mcp.stray_messages', {
    description:
      'Messages of servers that nobody waited for: late, repeated, invalid, or under a foreign id.',
  });
  const ignored = meter.createCounter('strata.mcp.ignored_messages', {
    description: 'Notifications and answers of clients that concern nothing that is going on.',
  });
  const dropped = meter.createCounter('strata.mcp.dropped_messages', {
    description: 'Progress and log messages left out because the client reads too slowly.',
  });
  const repeated = meter.createCounter('strata.mcp.repeated_calls', {
    description: 'Calls made again because the server was lost in the middle of them and they are safe.',
  });
  return {
    onStray: (server: string) => stray.add(1, { server }),
    onIgnored: () => ignored.add(1),
    onDropped: () => dropped.add(1),
    onRepeated: (server: string) => repeated.add(1, { server }),
  };
}
