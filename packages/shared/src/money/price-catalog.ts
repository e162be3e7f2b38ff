import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { isDecimalUsd, nanoUsdPerMillion, type PriceList, type Prices, type TieredPrices } from './price.ts';

/**
 * What models cost at their vendors, from a snapshot that is committed beside this file. `source` and `asOf` say where and from when the
 * figures are; a model that is not in it has no price, and never costs 0 ($-2).
 */
export interface PriceCatalog {
  readonly source: string;
  /** `YYYY-MM-DD`. */
  readonly asOf: string;
  /** Names exactly these prices: `2026-11-10/1f0c…`. Written into every usage record. */
  readonly version: string;
  /** The prices of a vendor's model; a dated name (`…-2026-01-31`, `…-20260131`) falls back to the name without its date. */
  find(vendor: string, model: string): PriceList | undefined;
  entries(): readonly { readonly vendor: string; readonly model: string; readonly prices: WrittenPrices }[];
}

const price = (what: string) =>
  z
    .string()
    .refine(isDecimalUsd, "expected a decimal number in quotes, such as '0.25'")
    .optional()
    .describe(`USD per million ${what}, as a decimal number in quotes.`);
/** What tokens and other units cost, as it is written. */
export const writtenBuckets = {
  input: price('input tokens that no cache helped with'),
  output: price('output tokens'),
  reasoning: price('reasoning tokens; what `output` costs if absent'),
  cache_read: price('input tokens read from the prompt cache'),
  cache_write: price('input tokens written to the prompt cache'),
  cache_write_1h: price('input tokens written to the prompt cache for one hour'),
  audio_input: price('input tokens of sound'),
  audio_output: price('output tokens of sound'),
  image_input: price('input tokens of pictures; what `input` costs if absent'),
  image_output: price('output tokens of pictures'),
  tool_units: price('uses of tools that the provider runs; of a tool or an agent itself, of it'),
  audio_seconds: price('seconds of sound, for models that are charged by its length'),
  requests: price('requests, beside what they use'),
};

/** Prices by the length of the input, as they are written. */
export const lengthTiers = z
  .array(
    z.strictObject({
      above_input_tokens: z.int().positive().describe('The length of the input above which they hold.'),
      ...writtenBuckets,
    }),
  )
  .optional()
  .describe('Prices that hold for the whole request once its input is longer than a bound.');

/** By the vendor's name of a tier of service. */
export const servicePrices = z.record(
  z
    .string()
    .max(50)
    .regex(/^[a-z][a-z0-9_-]*$/),
  z.strictObject({
    multiplier: z
      .string()
      .refine(text => isDecimalUsd(text) && /[1-9]/.test(text), "expected a factor above 0 such as '0.5'")
      .optional()
      .describe(
        'What the standard prices of tokens are multiplied by, at every length. Without it only the prices named here count.',
      ),
    ...writtenBuckets,
    tiers: lengthTiers,
  }),
);
export type ServicePrices = z.output<typeof servicePrices>[string];

/** How prices are written, in configuration, snapshots and the admin API. */
export const writtenPrices = z.strictObject({
  ...writtenBuckets,
  context_tokens: z.int().positive().optional(),
  max_output_tokens: z.int().positive().optional(),
  tiers: lengthTiers,
  service_tiers: servicePrices.optional(),
});
const snapshot = z.strictObject({
  source: z.string(),
  licence: z.string(),
  as_of: z.iso.date(),
  models: z.record(z.string(), writtenPrices),
});

/** USD per million tokens, as decimal texts. */
export type WrittenPrices = z.output<typeof writtenPrices>;
type WrittenBuckets = z.output<z.ZodObject<typeof writtenBuckets>>;

let builtIn: PriceCatalog | undefined;

/** The committed snapshot, read once. */
export function builtInPrices(): PriceCatalog {
  builtIn ??= readPriceCatalog(readFileSync(new URL('./prices.json', import.meta.url), 'utf8'));
  return builtIn;
}

/** The catalog of a file. @throws Error when it cannot be read or is not a price snapshot. */
export function loadPriceFile(path: string): PriceCatalog {
  return readPriceCatalog(readFileSync(path, 'utf8'));
}

/** @throws Error when the text is not a price snapshot. */
export function readPriceCatalog(text: string): PriceCatalog {
  const { source, as_of: asOf, models } = snapshot.parse(JSON.parse(text));
  const version = `${asOf}/${hash('sha256', text).slice(0, 12)}`;
  const written = new Map(Object.entries(models));
  return {
    source,
    asOf,
    version,
    find(vendor, model) {
      const found = findDated(written, `${vendor}/${model}`);
      return found && priceList(found, version);
    },
    entries: () => [...written].map(([id, prices]) => ({ ...splitPriceId(id), prices })),
  };
}

/** Prices as they are written in configuration or a snapshot, ready to count with. Tiers are in ascending order. */
export function priceList(written: WrittenPrices, version: string): PriceList {
  const { context_tokens: contextTokens, max_output_tokens: maxOutputTokens } = written;
  const standard = tieredPrices(bucketPrices(written), written.tiers);
  const services = Object.entries(written.service_tiers ?? {});
  return {
    version,
    ...standard,
    ...(services.length > 0 && {
      serviceTiers: new Map(services.map(([name, service]) => [name, pricesOfTier(service, standard)])),
    }),
    limits: { contextTokens, maxOutputTokens },
  };
}

function tieredPrices(base: Prices, written: WrittenPrices['tiers'] = []): TieredPrices {
  const tiers = written.map(({ above_input_tokens, ...tier }) => ({
    aboveInputTokens: above_input_tokens,
    prices: { ...base, ...bucketPrices(tier) },
  }));
  tiers.sort((left, right) => left.aboveInputTokens - right.aboveInputTokens);
  return { base, tiers };
}

/** The standard prices times the multiplier, and over them what is written. */
function pricesOfTier(written: ServicePrices, standard: TieredPrices): TieredPrices {
  const own = bucketPrices(written);
  if (written.multiplier === undefined) return tieredPrices(own, written.tiers);
  const factor = nanoUsdPerMillion(written.multiplier);
  const base = { ...multiplied(standard.base, factor), ...own };
  if (written.tiers !== undefined) return tieredPrices(base, written.tiers);
  const tiers = standard.tiers.map(({ aboveInputTokens, prices }) => ({
    aboveInputTokens,
    prices: { ...multiplied(prices, factor), ...own },
  }));
  return { base, tiers };
}

const one = 1_000_000_000n;

/** By billionths, rounded up. Tools that a provider runs, and a request itself, cost the same whoever waits for them. */
function multiplied(prices: Prices, billionths: bigint): Prices {
  return Object.fromEntries(
    Object.entries(prices).map(([bucket, price]) => [
      bucket,
      bucket === 'toolUnits' || bucket === 'requests' ? price : (price * billionths + one - 1n) / one,
    ]),
  );
}

function bucketPrices(written: WrittenBuckets): Prices {
  const named = {
    input: written.input,
    output: written.output,
    reasoning: written.reasoning,
    cacheRead: written.cache_read,
    cacheWrite: written.cache_write,
    cacheWrite1h: written.cache_write_1h,
    audioInput: written.audio_input,
    audioOutput: written.audio_output,
    imageInput: written.image_input,
    imageOutput: written.image_output,
    toolUnits: written.tool_units,
    audioSeconds: written.audio_seconds,
    requests: written.requests,
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([bucket, text]) =>
      text === undefined ? [] : [[bucket, nanoUsdPerMillion(text)] as const],
    ),
  );
}

/** What is listed under `vendor/model`, else under the model's name without its date. */
export function findDated<T>(listed: ReadonlyMap<string, T>, id: string): T | undefined {
  return listed.get(id) ?? listed.get(withoutDate(id));
}

/** `vendor/model`, split at the first slash: models have slashes too. */
export function splitPriceId(id: string): { vendor: string; model: string } {
  const slash = Math.max(0, id.indexOf('/'));
  return { vendor: id.slice(0, slash), model: id.slice(slash === 0 ? 0 : slash + 1) };
}

/** The price list with the limits of another one where it says nothing about them. */
export function withLimitsOf(own: PriceList, other: PriceList | undefined): PriceList {
  if (other?.limits === undefined) return own;
  const limits = {
    contextTokens: own.limits?.contextTokens ?? other.limits.contextTokens,
    maxOutputTokens: own.limits?.maxOutputTokens ?? other.limits.maxOutputTokens,
  };
  return { ...own, limits };
}

function withoutDate(model: string): string {
  return model.replace(/-(\d{4}-\d{2}-\d{2}|\d{8})$/, '');
}
