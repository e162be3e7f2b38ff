import type { Clock, Scheduled } from '../clock.ts';
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

const retryMs = 500;

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
  let reading: Promise<void> = Promise.resolve();
  let retry: Scheduled | undefined;
  let isClosed = false;

  async function read(): Promise<void> {
    const found = await store.inForce();
    prices = new Map(
      found.map(each => [`${each.vendor}/${each.model}`, priceList(each.prices, overrideVersion(each))]),
    );
    for (const listener of listeners) listener();
  }

  /** After what is being read already, which may be older than the change. */
  function readAgain(): void {
    if (isClosed) return;
    reading = reading.then(read).catch((error: unknown) => {
      log.warn({ err: error }, 'prices could not be read');
      retry?.cancel();
      if (!isClosed) retry = clock.schedule(retryMs, readAgain);
    });
  }

  watch.onChange(changes => {
    if (changes === undefined || changes.some(({ kind }) => kind === 'price')) readAgain();
  });
  await read();

  return {
    find: (vendor, model) => findDated(prices, `${vendor}/${model}`),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      isClosed = true;
      retry?.cancel();
      await reading;
    },
  };
}
