import { larger } from './nano-usd.ts';

/**
 * A grant as its owner sees it, in memory. Of `remaining`, which the store knows, `reserved` waits for requests under way and `unreported`
 * is spent but not yet booked; the rest is free to be reserved, without asking anybody ($-1).
 */
export interface Purse {
  readonly remaining: bigint;
  readonly reserved: bigint;
  readonly unreported: bigint;
}

export const emptyPurse: Purse = { remaining: 0n, reserved: 0n, unreported: 0n };

export type PurseEvent =
  /** The store has granted that much more. */
  | { readonly type: 'filled'; readonly nanoUsd: bigint }
  | { readonly type: 'reserved'; readonly nanoUsd: bigint }
  /** A request ended; what it did not need is free again. */
  | { readonly type: 'settled'; readonly reservedNanoUsd: bigint; readonly spentNanoUsd: bigint }
  /** What was spent is booked in the store. */
  | { readonly type: 'reported'; readonly nanoUsd: bigint }
  | { readonly type: 'given-back'; readonly nanoUsd: bigint };

/** Below 0 after a request that cost more than was set aside for it. */
export function freeIn({ remaining, reserved, unreported }: Purse): bigint {
  return remaining - reserved - unreported;
}

export function applyToPurse(purse: Purse, event: PurseEvent): Purse {
  switch (event.type) {
    case 'filled':
      return { ...purse, remaining: purse.remaining + event.nanoUsd };
    case 'reserved':
      return { ...purse, reserved: purse.reserved + event.nanoUsd };
    case 'settled':
      return {
        ...purse,
        reserved: purse.reserved - event.reservedNanoUsd,
        unreported: purse.unreported + event.spentNanoUsd,
      };
    case 'reported':
      // The store takes what the grant does not cover from nobody; so does this.
      return {
        ...purse,
        remaining: larger(purse.remaining - event.nanoUsd, 0n),
        unreported: purse.unreported - event.nanoUsd,
      };
    case 'given-back':
      return { ...purse, remaining: purse.remaining - event.nanoUsd };
  }
}
