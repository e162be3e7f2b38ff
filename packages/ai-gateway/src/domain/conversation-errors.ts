import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** With the vendor's words and status, which clients look for. */
export function conversationLocked(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'Another process is currently operating on this conversation. Please retry in a few seconds.',
    { reason: 'conversation_locked', param: 'conversation' },
  );
}

export function conversationNotFound(id = '', param?: string): GatewayError {
  return new GatewayError('not_found', `There is no conversation '${id.slice(0, 200)}' for this key.`, {
    reason: 'conversation_not_found',
    ...(param !== undefined && { param }),
  });
}
