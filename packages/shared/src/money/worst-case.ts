import { million, type PriceBucket, type PriceList, type Prices, pricesOfService } from './price.ts';
import type { UsageBucket } from './usage.ts';

const inputBuckets: readonly UsageBucket[] = [
  'input',
  'cacheRead',
  'cacheWrite',
  'cacheWrite1h',
  'imageInput',
  'audioInput',
];
const outputBuckets: readonly UsageBucket[] = ['output', 'reasoning', 'imageOutput', 'audioOutput'];

/**
 * The most that a request of so many tokens, seconds and uses of tools can cost, whichever buckets they turn out to be in and however few they are. Undefined when input or output has
 * no price at all ($-2), of what there can be some of, or the tier of service that is asked for has none. Rounded up.
 */
export function worstCaseCost(
  list: PriceList | undefined,
  tokens: {
    readonly input: number;
    readonly output: number;
    readonly audioSeconds?: number;
    /** What has no price stays unknown until it is metered. */
    readonly toolUnits?: number;
  },
  serviceTier?: string | undefined,
): bigint | undefined {
  if (list === undefined || pricesOfService(list, serviceTier) === undefined) return undefined;
  // Whatever is asked for, the vendor's account may say another tier of service.
  const services = [list, ...(list.serviceTiers?.values() ?? [])];
  // Fewer tokens than the bound can fall into any lower tier, whose prices may be higher for some bucket.
  const reachable = services.flatMap(({ base, tiers }) => [
    base,
    ...tiers.filter(tier => tokens.input > tier.aboveInputTokens).map(tier => tier.prices),
  ]);
  const input = dearest(reachable, inputBuckets);
  const output = dearest(reachable, outputBuckets);
  const second = dearest(reachable, ['audioSeconds']);
  const length =
    second === undefined || tokens.audioSeconds === undefined
      ? undefined
      : BigInt(Math.ceil(tokens.audioSeconds)) * second;
  // What is charged by its length alone has no price of tokens.
  const isOutputUnknown = output === undefined && tokens.output > 0;
  if ((input === undefined || isOutputUnknown) && length === undefined) return undefined;
  const total =
    BigInt(Math.ceil(tokens.input)) * (input ?? 0n) +
    BigInt(Math.ceil(tokens.output)) * (output ?? 0n) +
    (length ?? 0n) +
    BigInt(Math.ceil(tokens.toolUnits ?? 0)) * (dearest(reachable, ['toolUnits']) ?? 0n) +
    (dearest(reachable, ['requests']) ?? 0n);
  return (total + million - 1n) / million;
}

function dearest(prices: readonly Prices[], buckets: readonly PriceBucket[]): bigint | undefined {
  let highest: bigint | undefined;
  for (const each of prices) {
    for (const bucket of buckets) {
      const price = each[bucket];
      if (price !== undefined && (highest === undefined || price > highest)) highest = price;
    }
  }
  return highest;
}
