import * as z from 'zod';
import type { ServicePrices, WrittenPrices } from './price-catalog.ts';

const perToken = z.number().nonnegative().optional().catch(undefined);
const tokens = z.number().int().positive().optional().catch(undefined);

/** What is read of an entry of LiteLLM's `model_prices_and_context_window.json`: USD per token. The rest may be anything. */
const entry = z.looseObject({
  litellm_provider: z.string(),
  input_cost_per_token: perToken,
  output_cost_per_token: perToken,
  output_cost_per_reasoning_token: perToken,
  cache_read_input_token_cost: perToken,
  cache_creation_input_token_cost: perToken,
  cache_creation_input_token_cost_above_1hr: perToken,
  input_cost_per_audio_token: perToken,
  output_cost_per_audio_token: perToken,
  input_cost_per_image_token: perToken,
  output_cost_per_image_token: perToken,
  input_cost_per_request: perToken,
  /** USD a search, by how much of what was found the model reads. */
  search_context_cost_per_query: z.record(z.string(), z.number().positive()).optional().catch(undefined),
  max_input_tokens: tokens,
  max_output_tokens: tokens,
});
type Entry = z.output<typeof entry>;

/** The vendors of the catalog, by the names that LiteLLM has for them; others keep their own. */
const vendors: Readonly<Record<string, string>> = {
  gemini: 'google',
  vertex_ai: 'google-vertex',
  'vertex_ai-language-models': 'google-vertex',
  bedrock: 'amazon-bedrock',
  bedrock_converse: 'amazon-bedrock',
  azure: 'azure',
  fireworks_ai: 'fireworks',
  together_ai: 'together',
  moonshot: 'moonshotai',
};

const tierPattern = /^input_cost_per_token_above_(\d+)k_tokens$/;

/**
 * A price snapshot (what `readPriceCatalog` takes) from a file in LiteLLM's format. Models without a price for input and output are left out: 0
 * there means as often "not known" as "free" ($-2).
 *
 * @throws SyntaxError, ZodError when the text is not a JSON object.
 */
export function fromLitellm(
  text: string,
  options: { readonly source: string; readonly asOf: string },
): string {
  const models = litellmModels(z.record(z.string(), z.unknown()).parse(JSON.parse(text)));
  return JSON.stringify({ source: options.source, licence: 'MIT', as_of: options.asOf, models }, null, 1);
}

/** The prices of the models of such a file, by `vendor/model`. */
export function litellmModels(file: Readonly<Record<string, unknown>>): Record<string, WrittenPrices> {
  const models: Record<string, WrittenPrices> = {};
  for (const [id, value] of Object.entries(file)) {
    const parsed = entry.safeParse(value);
    if (!parsed.success) continue;
    const prices = pricesOf(parsed.data);
    if (prices === undefined) continue;
    const { litellm_provider: provider } = parsed.data;
    const model = id.startsWith(`${provider}/`) ? id.slice(provider.length + 1) : id;
    models[`${vendors[provider] ?? provider}/${model}`] = prices;
  }
  return models;
}

function pricesOf(data: Entry): WrittenPrices | undefined {
  const { input_cost_per_token: input, output_cost_per_token: output } = data;
  if (!input || !output) return undefined;
  const services = Object.entries(serviceSuffixes).flatMap(([name, suffix]) => {
    const own: ServicePrices = { ...buckets(data, suffix), ...tiersOf(data, suffix) };
    return own.input === undefined || own.output === undefined ? [] : [[name, own] as const];
  });
  return {
    ...buckets(data, ''),
    ...tiersOf(data, ''),
    ...searches(data),
    ...(data.input_cost_per_request && { requests: perMillion(data.input_cost_per_request) }),
    ...(services.length > 0 && { service_tiers: Object.fromEntries(services) }),
    ...(data.max_input_tokens !== undefined && { context_tokens: data.max_input_tokens }),
    ...(data.max_output_tokens !== undefined && { max_output_tokens: data.max_output_tokens }),
  };
}

/** A search has one price here: where it depends on how much is read, none is known. */
function searches({ search_context_cost_per_query: costs }: Entry): Pick<WrittenPrices, 'tool_units'> {
  const [cost, ...others] = new Set(Object.values(costs ?? {}));
  return cost === undefined || others.length > 0 ? {} : { tool_units: perMillion(cost) };
}

/** The prices of a tier of service have names of their own. */
const serviceSuffixes = { flex: '_flex', priority: '_priority', batch: '_batches' };

function tiersOf(data: Entry, serviceSuffix: string): Pick<WrittenPrices, 'tiers'> {
  const tiers = Object.keys(data).flatMap(name => {
    const bound = tierPattern.exec(name)?.[1];
    if (bound === undefined) return [];
    const own = buckets(data, `_above_${bound}k_tokens${serviceSuffix}`);
    return Object.keys(own).length > 0 ? [{ above_input_tokens: Number(bound) * 1000, ...own }] : [];
  });
  return tiers.length > 0 ? { tiers } : {};
}

function buckets(data: Entry, suffix: string) {
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
      const value = data[`${name}${suffix}`];
      return typeof value === 'number' && value > 0 ? [[bucket, perMillion(value)] as const] : [];
    }),
  );
}

/** A floating point price as the decimal it was written as: at most 12 digits count. */
function perMillion(usdPerToken: number): string {
  const text = Number((usdPerToken * 1_000_000).toPrecision(12)).toFixed(12);
  return text.replace(/\.?0+$/, '');
}
