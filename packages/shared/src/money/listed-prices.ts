import { builtInPrices } from './price-catalog.ts';
import { type ModelPrices, overrideVersion, type PriceOverride, type PriceStore } from './price-store.ts';

/** Prices and where they are from. */
export interface ListedPrice extends ModelPrices {
  /** `vendor/model`. */
  readonly id: string;
  readonly source: 'admin' | 'snapshot';
  /** As in usage entries. */
  readonly version: string;
}

/** What holds where the configuration says nothing else: what was set by the admin API, else the snapshot. By id. */
export async function listedPrices(store: Pick<PriceStore, 'inForce'>): Promise<ListedPrice[]> {
  const { version, entries } = builtInPrices();
  const listed = new Map<string, ListedPrice>();
  for (const each of entries()) {
    const id = `${each.vendor}/${each.model}`;
    listed.set(id, { id, ...each, source: 'snapshot', version });
  }
  for (const override of await store.inForce()) {
    const own = listedOverride(override);
    listed.set(own.id, own);
  }
  return [...listed.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
}

export function listedOverride(override: PriceOverride): ListedPrice {
  const { vendor, model, prices } = override;
  return {
    id: `${vendor}/${model}`,
    vendor,
    model,
    prices,
    source: 'admin',
    version: overrideVersion(override),
  };
}
