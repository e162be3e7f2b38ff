import { cancelledByClient } from '../domain/exchange.ts';
import type { NotificationFrame, ResponseFrame } from '../domain/frame.ts';
import { idKey } from '../wire/frame.ts';
import type { LiveSession } from './live-session.ts';

/** Takes a message of a client that gets no answer. `false` when it concerns nothing that is going on. */
export function takeFromClient(session: LiveSession, frame: NotificationFrame | ResponseFrame): boolean {
  if (frame.kind === 'response') return session.reverse.answer(frame);
  switch (frame.method) {
    case 'notifications/initialized':
      return true; // the session is active since this message came in
    case 'notifications/cancelled':
      return cancelCall(session, frame);
    case 'notifications/progress':
      return session.reverse.progress(frame);
    case 'notifications/roots/list_changed':
      session.channels.broadcast(frame.bytes);
      return true;
    default:
      return false;
  }
}

/**
 * A cancellation names its call by an id, and clients may use one id twice at a time. Cancelling somebody else's call is
 * worse than not cancelling, so it counts only when it can mean but one.
 */
function cancelCall(session: LiveSession, frame: NotificationFrame): boolean {
  const span = frame.params?.members?.get('requestId');
  const key = span && idKey(frame.bytes, span);
  const [only, ...others] = [...session.calls].filter(call => call.idKey === key);
  if (!only || others.length > 0) return false;
  only.end.stop(cancelledByClient);
  return true;
}
