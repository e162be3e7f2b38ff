import { inputTokens, type Usage, type UsageBucket, usageBuckets } from './usage.ts';

/** Nano-USD per million tokens (of `toolUnits`: per million uses, of `audioSeconds`: per million seconds, of `requests`: per million answers), for the buckets that have a price. */
export type Prices = Readonly<Partial<Record<PriceBucket, bigint>>>;

/** Each answer is one request, whatever it used: without a price of its own a request costs nothing beside what it used. */
export type PriceBucket = UsageBucket | 'requests';

/** How much a model takes and gives at most in one answer, as far as that is known. */
export interface ModelLimits {
  readonly contextTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
}

/** Prices by length: a tier's hold for the whole request once its input is longer than the bound. */
export interface TieredPrices {
  readonly base: Prices;
  /** In ascending order of the bound. */
  readonly tiers: readonly { readonly aboveInputTokens: number; readonly prices: Prices }[];
}

/** What a model costs. */
export interface PriceList extends TieredPrices {
  /** Names these prices for good: written beside every cost that was counted with them ($-2). */
  readonly version: string;
  /** By the name that the vendor gives the tier of service: `flex`, `priority`, `batch`. */
  readonly serviceTiers?: ReadonlyMap<string, TieredPrices>;
  readonly limits?: ModelLimits;
}

/** What vendors call the service that everybody gets; and what only asks for whatever there is. */
const standardService = new Set(['default', 'standard', 'standard_only', 'on_demand', 'auto', '']);

/**
 * The prices of a tier of service. Undefined when it is not the standard and not listed: what it costs is not known then, and it is not
 * taken for the standard ($-2).
 */
export function pricesOfService(
  list: PriceList | undefined,
  serviceTier: string | undefined,
): TieredPrices | undefined {
  if (serviceTier === undefined) return list;
  const name = serviceTier.toLowerCase();
  return standardService.has(name) ? list : list?.serviceTiers?.get(name);
}

const decimalPattern = /^(\d{1,9})(?:\.(\d{1,30}))?$/;
const nanoDigits = 9;
export const million = 1_000_000n;

/** Whether a text is a price that `nanoUsdPerMillion` reads. */
export function isDecimalUsd(text: string): boolean {
  return decimalPattern.test(text);
}

/**
 * `'0.25'` (USD per million tokens) as 250000000 nano-USD per million tokens. The text is converted exactly, once; what is
 * finer than a nano-USD rounds up. @throws RangeError when the text is not a plain decimal number.
 */
export function nanoUsdPerMillion(text: string): bigint {
  const match = decimalPattern.exec(text);
  if (!match) throw new RangeError(`'${text}' is not a decimal number`);
  const [, whole = '0', fraction = ''] = match;
  const exact = BigInt(whole + fraction.padEnd(nanoDigits, '0').slice(0, nanoDigits));
  const hasMore = /[1-9]/.test(fraction.slice(nanoDigits));
  return hasMore ? exact + 1n : exact;
}

/**
 * What an answer costs in nano-USD in the tier of service that the answer names, rounded up once at the end. Undefined when a bucket that was used has no price: an
 * unknown price is never 0 ($-2). Reasoning without a price of its own costs what output costs, pictures what input costs.
 */
export function costOf(
  usage: Usage,
  list: PriceList | undefined,
  serviceTier?: string | undefined,
): bigint | undefined {
  const tiered = pricesOfService(list, serviceTier);
  if (tiered === undefined) return undefined;
  const prices = pricesAt(tiered, inputTokens(usage));
  let total = prices.requests ?? 0n;
  for (const bucket of usageBuckets) {
    const tokens = usage[bucket] ?? 0;
    if (tokens === 0) continue;
    const price = prices[bucket] ?? prices[insteadOf[bucket] ?? bucket];
    if (price === undefined) return undefined;
    total += BigInt(tokens) * price;
  }
  return (total + million - 1n) / million;
}

/** What is charged like text unless the vendor says otherwise. Sound never is. */
const insteadOf: Readonly<Partial<Record<UsageBucket, UsageBucket>>> = {
  reasoning: 'output',
  imageInput: 'input',
};

function pricesAt({ base, tiers }: TieredPrices, tokens: number): Prices {
  return tiers.findLast(tier => tokens > tier.aboveInputTokens)?.prices ?? base;
}
