import { million, nanoUsdPerMillion } from './price.ts';
import type { WrittenPrices } from './price-catalog.ts';
import { overrideVersion, type PriceOverride } from './price-store.ts';

/**
 * Prices of what is charged by the use: tools (`tool:SERVER` and the server's own name of the tool) and agents (`agent:NAMESPACE` and the
 * agent). They stand among the prices of models as `tool_units`, USD per million uses; `*` stands for any characters.
 */
export const useKinds = ['tool', 'agent'] as const;
export type UseKind = (typeof useKinds)[number];

export interface UsePrice {
  /** Glob over `SERVER/tool` or `NAMESPACE/agent`. */
  readonly names: string;
  readonly nanoUsd: bigint;
  /** Names the price for good, beside what is booked with it ($-2). */
  readonly version: string;
}

/** Undefined for the vendor of a model. */
export function useKindOf(vendor: string): UseKind | undefined {
  return useKinds.find(kind => vendor.startsWith(`${kind}:`));
}

/** Whether a use can be priced so: by `tool_units` and nothing else. */
export function isUsePrice(prices: WrittenPrices): boolean {
  return Object.keys(prices).join() === 'tool_units';
}

/** In the order in which they are looked at: names themselves, then globs, the longer ones first. */
export function usePrices(kind: UseKind, overrides: readonly PriceOverride[]): UsePrice[] {
  const found = overrides.flatMap(override => {
    const { vendor, model, prices } = override;
    if (useKindOf(vendor) !== kind || prices.tool_units === undefined) return [];
    const perMillion = nanoUsdPerMillion(prices.tool_units);
    const nanoUsd = (perMillion + million - 1n) / million;
    const names = `${vendor.slice(kind.length + 1)}/${model}`;
    return [{ names, nanoUsd, version: overrideVersion(override) }];
  });
  const isGlob = ({ names }: UsePrice) => Number(names.includes('*'));
  return found.sort(
    (left, right) =>
      isGlob(left) - isGlob(right) ||
      right.names.length - left.names.length ||
      (left.names < right.names ? -1 : 1),
  );
}
