import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** Why a conversation is over whose client is. */
export function sessionClosed(): GatewayError {
  return new GatewayError('cancelled', 'The session was closed.', { reason: 'session_closed' });
}

/** Why the conversations with a server are over that is there no more, or is another. */
export function serverRemoved(server: string): GatewayError {
  return new GatewayError('upstream_failed', `The server '${server}' was removed, changed or disabled.`, {
    reason: 'server_removed',
    details: { server },
  });
}
