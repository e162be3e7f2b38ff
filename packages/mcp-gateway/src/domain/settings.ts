import type { SessionLimits } from './session.ts';

/** The operator's limits, as the running gateway reads them. They may change while it runs. */
export interface GatewaySettings {
  readonly sessions: SessionLimits & {
    readonly max: number;
    readonly maxPerPrincipal: number;
    readonly maxCalls: number;
  };
  readonly streams: {
    readonly streamAfterMs: number;
    readonly retryMs: number;
    readonly keepMs: number;
    readonly maxEvents: number;
    readonly maxBytes: number;
  };
  readonly listPageSize: number;
  readonly listTimeoutMs: number;
  readonly listChangedDebounceMs: number;
  readonly inputTimeoutMs: number;
}

/** How long a session may be used without the store hearing of it: its memory must not end before the session does. */
export function savedAgainMs({ sessions }: GatewaySettings): number {
  return sessions.idleMs / 4;
}
