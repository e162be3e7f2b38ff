import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { Stage } from '@strata/shared/pipeline.ts';
import type { Answer, Call } from '../domain/call.ts';

/** Begins nothing that could not be booked. */
export function createRequireLedger(ledger: UsageLedger): Stage<Call, Answer> {
  return async (_call, next) => {
    ledger.requireRoom();
    return next();
  };
}
