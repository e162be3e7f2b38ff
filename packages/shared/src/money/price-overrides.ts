import type { Clock } from '../clock.ts';
import { followChanges } from '../identity/follow-changes.ts';
import type { IdentityWatch } from '../identity/identity-watch.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { PriceList } from './price.ts';
import { findDated, priceList } from './price-catalog.ts';
import { overrideVersion, type PriceStore } from './price-store.ts';

/** The overrides in force, in memory. A change by any process is seen as soon as a revoked key is. */
export interface PriceOverrides {
  find(vendor: string, model: string): PriceList | undefined;
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

  async function read(): Promise<void> {
    const found = await store.inForce();
    prices = new Map(
      found.map(each => [`${each.vendor}/${each.model}`, priceList(each.prices, overrideVersion(each))]),
    );
    for (const listener of listeners) listener();
  }

  const close = await followChanges({ watch, kind: 'price', read, clock, log });
  return {
    find: (vendor, model) => findDated(prices, `${vendor}/${model}`),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close,
  };
}
