import type { Caller } from '@strata/shared/identity/caller.ts';
import type { StopSignal } from '@strata/shared/resilience/stop-signal.ts';
import type { RequestFrame } from '../domain/frame.ts';
import type { UpstreamDirectory } from '../domain/upstream-directory.ts';
import type { ModernPeer } from './modern-peer.ts';
import type { DispatchDeps } from './request.ts';

/** Who listens, to what it leads to, and for how long. */
export interface WatchOptions {
  readonly peer: ModernPeer;
  readonly directory: UpstreamDirectory;
  readonly caller: Caller;
  readonly policy: DispatchDeps['policy'];
  /** The request to listen. */
  readonly frame: RequestFrame;
  readonly signal: StopSignal;
}
