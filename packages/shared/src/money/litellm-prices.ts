import * as z from 'zod';
import type { ServicePrices, WrittenPrices } from './price-catalog.ts';
import { pricedModel } from './priced-model.ts';
import { useKindOf } from './use-prices.ts';

/** USD. What people write by hand is often a text: `'2.5e-07'`. */
const cost = z
  .union([
    z.number(),
    z
      .string()
      .trim()
      .regex(/^\d*\.?\d+(e[+-]?\d+)?$/i)
      .transform(Number),
  ])
  .pipe(z.number().nonnegative())
  .nullish();
const tokens = z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.int().positive());
const count = tokens.optional().catch(undefined);

/** What is read of an entry of LiteLLM's `model_prices_and_context_window.json`. The rest may be anything. */
const entry = z.looseObject({
  litellm_provider: z.string(),
  mode: z.string().optional().catch(undefined),
  /** USD a search, by how much of what was found the model reads. */
  search_context_cost_per_query: z.record(z.string(), z.number().positive()).optional().catch(undefined),
  max_input_tokens: count,
  max_output_tokens: count,
});
type Entry = z.output<typeof entry>;
type Costs = ReadonlyMap<string, number>;

/** The members that hold what is counted with. */
const costPattern =
  /^((in|out)put_cost_per_(\w+_)?token|cache_\w+_token_cost|input_cost_per_(request|second)$)/;

/** The vendors of the catalog, by the names that LiteLLM has for them; others keep their own. */
const vendors: ReadonlyMap<string, string> = new Map([
  ['gemini', 'google'],
  ['vertex_ai', 'google-vertex'],
  ['vertex_ai-language-models', 'google-vertex'],
  ['bedrock', 'amazon-bedrock'],
  ['bedrock_converse', 'amazon-bedrock'],
  ['fireworks_ai', 'fireworks'],
  ['together_ai', 'together'],
  ['moonshot', 'moonshotai'],
]);

/**
 * A price snapshot (what `readPriceCatalog` takes) from a file in LiteLLM's format. Models without a price for input and output are left out: 0
 * there means as often "not known" as "free" ($-2). So is a model with a price that cannot be read or cannot be.
 *
 * @throws SyntaxError when the text is no JSON, TypeError when that is no object.
 */
export function fromLitellm(
  text: string,
  options: { readonly source: string; readonly asOf: string },
): string {
  const file = z.record(z.string(), z.unknown()).safeParse(JSON.parse(text));
  if (!file.success) throw new TypeError('Expected an object that has an entry for each model.');
  const models = litellmModels(file.data);
  return JSON.stringify({ source: options.source, licence: 'MIT', as_of: options.asOf, models }, null, 1);
}

/** The prices of the models of such a file, by `vendor/model`. */
export function litellmModels(file: Readonly<Record<string, unknown>>): Record<string, WrittenPrices> {
  const models: Record<string, WrittenPrices> = {};
  for (const [id, value] of Object.entries(file)) {
    const parsed = entry.safeParse(value);
    const costs = parsed.success ? costsOf(parsed.data) : undefined;
    if (!parsed.success || costs === undefined) continue;
    const { litellm_provider: provider } = parsed.data;
    const priced = pricedModel.safeParse({
      vendor: vendors.get(provider) ?? provider,
      model: id.startsWith(`${provider}/`) ? id.slice(provider.length + 1) : id,
      prices: pricesOf(parsed.data, costs),
    });
    if (!priced.success || useKindOf(priced.data.vendor) !== undefined) continue;
    models[`${priced.data.vendor}/${priced.data.model}`] = priced.data.prices;
  }
  return models;
}

/** Undefined when one cannot be read: what such an entry means is not known then. */
function costsOf(data: Entry): Costs | undefined {
  const costs = new Map<string, number>();
  for (const [name, value] of Object.entries(data)) {
    if (!costPattern.test(name)) continue;
    const parsed = cost.safeParse(value);
    if (!parsed.success) return undefined;
    if (parsed.data) costs.set(name, parsed.data);
  }
  return costs;
}

function pricesOf(data: Entry, costs: Costs): WrittenPrices | undefined {
  const base = { ...buckets(costs, ''), ...bySeconds(data, costs) };
  if (!isWhole(data, base)) return undefined;
  const services = Object.entries(serviceSuffixes).flatMap(([name, suffix]) => {
    const own: ServicePrices = { ...buckets(costs, suffix), ...tiersOf(costs, suffix) };
    return isWhole(data, own) ? [[name, own] as const] : [];
  });
  const perRequest = costs.get('input_cost_per_request');
  return {
    ...base,
    ...tiersOf(costs, ''),
    ...searches(data),
    ...(perRequest !== undefined && { requests: perMillion(perRequest) }),
    ...(services.length > 0 && { service_tiers: Object.fromEntries(services) }),
    ...(data.max_input_tokens !== undefined && { context_tokens: data.max_input_tokens }),
    ...(data.max_output_tokens !== undefined && { max_output_tokens: data.max_output_tokens }),
  };
}

/** Whether all that such a model is charged by has a price. */
function isWhole({ mode }: Entry, { input, output, audio_seconds: seconds }: WrittenPrices): boolean {
  if (mode === 'audio_transcription' && seconds !== undefined) return true;
  return input !== undefined && (output !== undefined || mode === 'embedding');
}

/** What listens is charged by how long it does. Others have such members for what is charged by tokens here. */
function bySeconds({ mode }: Entry, costs: Costs): Pick<WrittenPrices, 'audio_seconds'> {
  const perSecond = mode === 'audio_transcription' ? costs.get('input_cost_per_second') : undefined;
  return perSecond === undefined ? {} : { audio_seconds: perMillion(perSecond) };
}

/** A search has one price here: where it depends on how much is read, none is known. */
function searches({ search_context_cost_per_query: costs }: Entry): Pick<WrittenPrices, 'tool_units'> {
  const [cost, ...others] = new Set(Object.values(costs ?? {}));
  return cost === undefined || others.length > 0 ? {} : { tool_units: perMillion(cost) };
}

/** The prices of a tier of service have names of their own. */
const serviceSuffixes = { flex: '_flex', priority: '_priority', batch: '_batches' };

const tierPattern = /^input_cost_per_token_above_(\d+)k_tokens$/;

function tiersOf(costs: Costs, serviceSuffix: string): Pick<WrittenPrices, 'tiers'> {
  const tiers = [...costs.keys()].flatMap(name => {
    const bound = tierPattern.exec(name)?.[1];
    if (bound === undefined) return [];
    const own = buckets(costs, `_above_${bound}k_tokens${serviceSuffix}`);
    return Object.keys(own).length > 0 ? [{ above_input_tokens: Number(bound) * 1000, ...own }] : [];
  });
  return tiers.length > 0 ? { tiers } : {};
}

function buckets(costs: Costs, suffix: string) {
  const names = {
    input: 'input_cost_per_token',
    output: 'output_cost_per_token',
    reasoning: 'output_cost_per_reasoning_token',
    cache_read: 'cache_read_input_token_cost',
    cache_write: 'cache_creation_input_token_cost',
    cache_write_1h: 'cache_creation_input_token_cost_above_1hr',
    audio_input: 'input_cost_per_audio_token',
    audio_output: 'output_cost_per_audio_token',
    image_input: 'input_cost_per_image_token',
    image_output: 'output_cost_per_image_token',
  };
  return Object.fromEntries(
    Object.entries(names).flatMap(([bucket, name]) => {
      const value = costs.get(`${name}${suffix}`);
      return value === undefined ? [] : [[bucket, perMillion(value)] as const];
    }),
  );
}

const finest = '0.000000001';

/** A floating point price as the decimal it was written as: at most 12 digits count. What is finer than a nano-USD is one. */
function perMillion(usdPerToken: number): string {
  const usd = Number((usdPerToken * 1_000_000).toPrecision(12));
  return usd < Number(finest) ? finest : usd.toFixed(12).replace(/\.?0+$/, '');
}
