import type { Clock } from '@strata/shared/clock.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import type { Upstream } from '../domain/upstream.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import { createTransports, isEnabled, policyOf, revealed } from './registry.ts';
import { createUpstream } from './upstream.ts';

export interface ConfiguredUpstreams extends UpstreamDirectory {
  /**
   * Takes over a new configuration: servers that did not change go on, the others are closed or made. `hidden` ones are kept
   * open and not offered any more.
   */
  apply(servers: Readonly<Record<string, object>>, hidden?: ReadonlySet<string>): void;
  /** Those that are kept open, offered or not. */
  open(): readonly Upstream[];
  close(): Promise<void>;
}

interface Entry {
  readonly upstream: Upstream;
  /** Tells whether the configuration changed. Holds secrets: stays in this object. */
  readonly fingerprint: string;
}

export function createUpstreamDirectory(deps: {
  readonly clock: Clock;
  readonly log: Logger;
  readonly dialer: Dialer;
  readonly onStray: (server: string) => void;
  readonly clientInfo: Readonly<Record<string, unknown>>;
}): ConfiguredUpstreams {
  let entries = new Map<string, Entry>();
  let upstreams: readonly Upstream[] = [];

  const make = (name: string, config: object): Upstream => {
    const factory = createTransports(config, { name, clock: deps.clock, log: deps.log, dialer: deps.dialer });
    return createUpstream({
      name,
      policy: policyOf(config),
      factory,
      clock: deps.clock,
      onStray: () => deps.onStray(name),
      clientInfo: deps.clientInfo,
    });
  };

  const closeQuietly = (upstream: Upstream) => {
    upstream.close().catch((error: unknown) => {
      deps.log.error({ server: upstream.name, err: error }, 'server did not close');
    });
  };

  return {
    list: () => upstreams,
    get: name => upstreams.find(upstream => upstream.name === name),
    open: () => [...entries.values()].map(entry => entry.upstream),
    apply(servers, hidden = new Set()) {
      const next = new Map<string, Entry>();
      for (const [name, config] of Object.entries(servers)) {
        if (!isEnabled(config)) continue;
        const fingerprint = JSON.stringify(revealed(config));
        const known = entries.get(name);
        const isSame = known?.fingerprint === fingerprint;
        next.set(name, known && isSame ? known : { upstream: make(name, config), fingerprint });
      }
      const removed = [...entries.values()].filter(entry => next.get(entry.upstream.name) !== entry);
      entries = next;
      upstreams = [...next.values()].map(entry => entry.upstream).filter(({ name }) => !hidden.has(name));
      for (const { upstream } of removed) closeQuietly(upstream);
    },
    async close() {
      await Promise.all([...entries.values()].map(({ upstream }) => upstream.close()));
    },
  };
}
