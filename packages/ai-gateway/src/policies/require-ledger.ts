import type { UsageLedger } from '@strata/shared/money/usage-ledger.ts';
import type { CallStage } from '../domain/call.ts';

/** Begins nothing that could not be booked. */
export function createRequireLedger(ledger: UsageLedger): CallStage {
  return (_call, next) => {
    ledger.requireRoom();
    return next();
  };
}
