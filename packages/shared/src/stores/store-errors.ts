import { GatewayError } from '../errors/gateway-error.ts';

/** What can go wrong in a SQL store, in the words of both dialects. The adapters choose by the code of the engine, never by its message. */

const retryAfterMs = 1000;

/** Nothing was changed: the statement never ran, or its transaction was rolled back. */
export function storeUnavailable(cause: unknown): GatewayError {
  return new GatewayError('overloaded', 'The store cannot be reached right now. Try again.', {
    reason: 'store_unavailable',
    retryAfterMs,
    cause,
  });
}

/** Nothing was changed: the engine gave the statement up. */
export function storeTimeout(cause: unknown): GatewayError {
  return new GatewayError('timeout', 'The store took too long to answer. Try again.', {
    reason: 'store_timeout',
    retryAfterMs,
    cause,
  });
}

/**
 * The write was sent and its answer lost (F17). Of a kind that nothing repeats by itself: whoever wrote must read, by a key of
 * its own choosing, before it writes again.
 */
export function commitUnknown(cause: unknown): GatewayError {
  return new GatewayError(
    'internal',
    'The store went away during a write; whether it took effect is not known.',
    {
      reason: 'commit_unknown',
      cause,
    },
  );
}

/** Nothing was changed: two transactions stood in each other's way, and this one gave way. */
export function transactionConflict(cause: unknown): GatewayError {
  return new GatewayError('overloaded', 'Another transaction was in the way. Try again.', {
    reason: 'transaction_conflict',
    retryAfterMs: 0,
    cause,
  });
}

export function storeAccessDenied(cause: unknown): GatewayError {
  return new GatewayError(
    'overloaded',
    'The store refuses the configured user, password or database. Check `store.url`.',
    { reason: 'store_access_denied', cause },
  );
}

/** PostgreSQL holds no NUL; SQLite finds nothing under such a name. */
export function textInvalid(cause: unknown): GatewayError {
  return new GatewayError('invalid_request', 'A name or text holds U+0000, which cannot be stored.', {
    reason: 'text_invalid',
    cause,
  });
}

export function uniqueViolation(cause: unknown): GatewayError {
  return new GatewayError('conflict', 'A record with this key exists already.', {
    reason: 'unique_violation',
    cause,
  });
}

export function foreignKeyViolation(cause: unknown): GatewayError {
  return new GatewayError(
    'conflict',
    'The record refers to one that does not exist, or is still referred to.',
    {
      reason: 'foreign_key_violation',
      cause,
    },
  );
}

export function checkViolation(cause: unknown): GatewayError {
  return new GatewayError('conflict', 'The record would break a rule of its table.', {
    reason: 'check_violation',
    cause,
  });
}
