import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** What a run has recorded cannot be gone on with here: another release wrote it, or its definition is not the one that it was (F80). */
export function notUnderstood(detail: string): GatewayError {
  return new GatewayError('internal', detail, { reason: 'run_not_understood' });
}

/** A record does not follow from those before it. */
export function corruptJournal(detail: string): GatewayError {
  return new GatewayError('internal', detail, { reason: 'journal_corrupt' });
}

/** Such a run is left alone, and what is wrong with it is shown. */
export function isUnreadable(error: unknown): error is GatewayError {
  return error instanceof GatewayError && unreadable.has(error.reason);
}

const unreadable: ReadonlySet<string> = new Set(['journal_corrupt', 'run_not_understood']);
