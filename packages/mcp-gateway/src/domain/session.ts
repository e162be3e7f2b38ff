/**
 * The life of a session with a client of the sessions era, as a pure state machine:
 * pending → active → closing → closed. A session is pending until its client shows that it got the answer to
 * `initialize`; it is closing while its exchanges are answered and its servers are told.
 */
export type SessionState =
  | { readonly status: 'pending'; readonly createdAtMs: number }
  | { readonly status: 'active'; readonly createdAtMs: number; readonly usedAtMs: number }
  | { readonly status: 'closing'; readonly reason: SessionEnd }
  | { readonly status: 'closed'; readonly reason: SessionEnd };

export type SessionEnd = 'client' | 'idle' | 'expired' | 'abandoned' | 'evicted' | 'shutdown' | 'fenced';

export type SessionEvent =
  | { readonly type: 'used'; readonly atMs: number }
  | { readonly type: 'tick'; readonly atMs: number; readonly isBusy: boolean }
  | { readonly type: 'close'; readonly reason: SessionEnd }
  | { readonly type: 'drained' };

export interface SessionLimits {
  /** Without a request, a notification or an open stream. */
  readonly idleMs: number;
  /** From `initialize`, however busy. */
  readonly absoluteMs: number;
  /** How long a client may take from the answer to `initialize` to its next message. */
  readonly pendingMs: number;
}

export function openSession(atMs: number): SessionState {
  return { status: 'pending', createdAtMs: atMs };
}

export function nextSessionState(
  state: SessionState,
  event: SessionEvent,
  limits: SessionLimits,
): SessionState {
  switch (state.status) {
    case 'pending':
    case 'active':
      return nextWhileOpen(state, event, limits);
    case 'closing':
      return event.type === 'drained' ? { status: 'closed', reason: state.reason } : state;
    case 'closed':
      return state;
  }
}

function nextWhileOpen(
  state: Extract<SessionState, { status: 'pending' | 'active' }>,
  event: SessionEvent,
  limits: SessionLimits,
): SessionState {
  switch (event.type) {
    case 'used':
      return { status: 'active', createdAtMs: state.createdAtMs, usedAtMs: event.atMs };
    case 'close':
      return { status: 'closing', reason: event.reason };
    case 'drained':
      return state;
    case 'tick': {
      const reason = endOf(state, event, limits);
      return reason ? { status: 'closing', reason } : state;
    }
  }
}

function endOf(
  state: Extract<SessionState, { status: 'pending' | 'active' }>,
  tick: { readonly atMs: number; readonly isBusy: boolean },
  limits: SessionLimits,
): SessionEnd | undefined {
  if (tick.atMs - state.createdAtMs >= limits.absoluteMs) return 'expired';
  if (state.status === 'pending') {
    return tick.atMs - state.createdAtMs >= limits.pendingMs ? 'abandoned' : undefined;
  }
  return !tick.isBusy && tick.atMs - state.usedAtMs >= limits.idleMs ? 'idle' : undefined;
}

export function isOpen(state: SessionState): boolean {
  return state.status === 'pending' || state.status === 'active';
}
