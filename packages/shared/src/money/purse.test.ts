import { modelRuns } from '@strata/shared/testing/model-runs.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Account, apply, totals } from './budget-account.ts';
import { applyToPurse, emptyPurse, freeIn, type Purse } from './purse.ts';

/** A process and its store, message by message: what each believes, in any order of requests, ends, bookings and returns. */

type Step =
  | { readonly type: 'request'; readonly nanoUsd: bigint }
  | { readonly type: 'end'; readonly which: number; readonly percent: number }
  | { readonly type: 'book' | 'give-back' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('request' as const),
      nanoUsd: fc.bigInt({ min: 0n, max: 300n }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('end' as const), which: fc.nat(20), percent: fc.nat(100) }),
  },
  fc.record({ type: fc.constantFrom('book' as const, 'give-back' as const) }),
);

const now = Date.UTC(2026, 0, 1);

test('[$-1] [I1] [I5] property: a process never spends what the store has not set aside for it, and in the end both agree', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), steps => {
      let account: Account = {
        limitNanoUsd: 1000n,
        window: { type: 'total' },
        isClosed: false,
        spent: new Map(),
        grants: new Map(),
      };
      let purse: Purse = emptyPurse;
      const underWay: bigint[] = [];
      let spent = 0n;

      const book = () => {
        const nanoUsd = purse.unreported;
        [account] = apply(account, { type: 'charge', charge: { grantId: 'g', period: 0, nanoUsd } }, now);
        purse = applyToPurse(purse, { type: 'reported', nanoUsd });
      };
      const giveBack = () => {
        purse = applyToPurse(purse, { type: 'given-back', nanoUsd: freeIn(purse) });
        [account] = apply(account, { type: 'trim', grantId: 'g', keep: purse.remaining }, now);
      };
      for (const each of steps) {
        if (each.type === 'request') {
          const need = each.nanoUsd - freeIn(purse);
          if (need > 0n) {
            const [next, output] = apply(
              account,
              { type: 'draw', grantId: 'g', owner: 'o', need, want: 2n * need },
              now,
            );
            account = next;
            if (output.type !== 'drawn') continue;
            purse = applyToPurse(purse, { type: 'filled', nanoUsd: output.nanoUsd });
          }
          purse = applyToPurse(purse, { type: 'reserved', nanoUsd: each.nanoUsd });
          underWay.push(each.nanoUsd);
        } else if (each.type === 'end') {
          const [reservedNanoUsd] = underWay.splice(each.which % Math.max(1, underWay.length), 1);
          if (reservedNanoUsd === undefined) continue;
          const spentNanoUsd = (reservedNanoUsd * BigInt(each.percent)) / 100n;
          spent += spentNanoUsd;
          purse = applyToPurse(purse, { type: 'settled', reservedNanoUsd, spentNanoUsd });
        } else if (each.type === 'book') book();
        else giveBack();
        const { spent: booked, open } = totals(account, now);
        expect(freeIn(purse) >= 0n && purse.remaining === open).toBe(true);
        expect(booked + purse.unreported).toBe(spent);
        expect(booked + open <= account.limitNanoUsd).toBe(true);
      }
      for (const reservedNanoUsd of underWay) {
        purse = applyToPurse(purse, { type: 'settled', reservedNanoUsd, spentNanoUsd: 0n });
      }
      book();
      giveBack();
      expect(totals(account, now)).toEqual({ spent, open: 0n, lost: 0n });
    }),
    modelRuns('purse', 'memory'),
  );
});
