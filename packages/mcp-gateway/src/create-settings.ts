import type { ConfigSource } from '@strata/shared/config/config-source.ts';
import type { McpGatewayConfig } from './config.ts';
import type { GatewaySettings } from './domain/settings.ts';

/** The settings of the configuration in force, read anew when it is another one. */
export function createSettings(config: ConfigSource<McpGatewayConfig>): () => GatewaySettings {
  let read = config.current;
  let settings = settingsOf(read);
  return () => {
    if (read !== config.current) {
      read = config.current;
      settings = settingsOf(read);
    }
    return settings;
  };
}

function settingsOf(config: McpGatewayConfig): GatewaySettings {
  const { sessions, streams } = config;
  return {
    sessions: {
      idleMs: sessions.idle_ms,
      absoluteMs: sessions.absolute_ms,
      pendingMs: sessions.pending_ms,
      max: sessions.max,
      maxPerPrincipal: sessions.max_per_principal,
      maxCalls: sessions.max_calls,
    },
    streams: {
      streamAfterMs: streams.stream_after_ms,
      retryMs: streams.retry_ms,
      keepMs: streams.keep_ms,
      maxEvents: streams.max_events,
      maxBytes: streams.max_bytes,
    },
    listPageSize: config.list_page_size,
    listTimeoutMs: config.list_timeout_ms,
    listChangedDebounceMs: config.list_changed_debounce_ms,
    inputTimeoutMs: config.input_timeout_ms,
  };
}
