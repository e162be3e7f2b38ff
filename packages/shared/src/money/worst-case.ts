import { million, type PriceList, type Prices } from './price.ts';
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
 * The most that so many tokens can cost, whichever buckets they turn out to be in and however few they are. Undefined when input or output has
 * no price at all ($-2). Rounded up.
 */
export function worstCaseCost(
  list: PriceList | undefined,
  tokens: { readonly input: number; readonly output: number },
): bigint | undefined {
  if (list === undefined) return undefined;
  // Fewer tokens than the bound can fall into any lower tier, whose prices may be higher for some bucket.
  const reachable = [
    list.base,
    ...list.tiers.filter(tier => tokens.input > tier.aboveInputTokens).map(tier => tier.prices),
  ];
  const input = dearest(reachable, inputBuckets);
  const output = dearest(reachable, outputBuckets);
  if (input === undefined || output === undefined) return undefined;
  const total = BigInt(Math.ceil(tokens.input)) * input + BigInt(Math.ceil(tokens.output)) * output;
  return (total + million - 1n) / million;
}

function dearest(prices: readonly Prices[], buckets: readonly UsageBucket[]): bigint | undefined {
  let highest: bigint | undefined;
  for (const each of prices) {
    for (const bucket of buckets) {
      const price = each[bucket];
      if (price !== undefined && (highest === undefined || price > highest)) highest = price;
    }
  }
  return highest;
}
