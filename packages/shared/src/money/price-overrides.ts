import type { Clock } from '../clock.ts';
import { followChanges } from '../identity/follow-changes.ts';
import type { IdentityWatch } from '../identity/identity-watch.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { PriceList } from './price.ts';
import { findDated, priceList } from './price-catalog.ts';
import { overrideVersion, type PriceStore } from './price-store.ts';
import { type UseKind, type UsePrice, usePrices } from './use-prices.ts';

/** The overrides in force, in memory. A change by any process is seen as soon as a revoked key is. */
export interface PriceOverrides {
  find(vendor: string, model: string): PriceList | undefined;
  /** Of what is charged by the use. Of those that match a name, the first counts: a name itself, then the longer globs. */
  uses(kind: UseKind): readonly UsePrice[];
  /** Called when others are in force. Returns how to stop that. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

/** While the store is away, the prices that were known last are in force. */
export async function openPriceOverrides(options: {
  readonly store: Pick<PriceStore, 'inForce'>;
  readonly watch: Pick<IdentityWatch, 'onChange'>;
  readonly clock: Clock;
  readonly log: Logger;
}): Promise<PriceOverrides> {
  const { store, watch, clock, log } = options;
  const listeners = new Set<() => void>();
  let prices: ReadonlyMap<string, PriceList> = new Map();
  let ofUses: Readonly<Record<UseKind, readonly UsePrice[]>> = { tool: [], agent: [] };

  async function read(): Promise<void> {
    const found = await store.inForce();
    prices = new Map(
      found.map(each => [`${each.vendor}/${each.model}`, priceList(each.prices, overrideVersion(each))]),
    );
    ofUses = { tool: usePrices('tool', found), agent: usePrices('agent', found) };
    for (const listener of listeners) listener();
  }

  const close = await followChanges({ watch, kind: 'price', read, clock, log });
  return {
    find: (vendor, model) => findDated(prices, `${vendor}/${model}`),
    uses: kind => ofUses[kind],
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close,
  };
}
