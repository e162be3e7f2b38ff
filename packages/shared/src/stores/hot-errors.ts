import { GatewayError } from '../errors/gateway-error.ts';

/** Whether a change that was asked for was made is not known. */
export function hotStoreUnavailable(cause: unknown): GatewayError {
  return new GatewayError('overloaded', 'The shared state cannot be reached right now. Try again.', {
    reason: 'hot_store_unavailable',
    retryAfterMs: 1000,
    cause,
  });
}

export function hotStoreFull(): GatewayError {
  return new GatewayError(
    'overloaded',
    'There is no room for more shared state right now. Try again later.',
    {
      reason: 'hot_store_full',
      retryAfterMs: 5000,
    },
  );
}
