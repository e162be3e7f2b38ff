import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * `node scripts/price-snapshot.ts --package FOLDER --as-of YYYY-MM-DD`: writes `packages/shared/src/money/prices.json` from the unpacked npm
 * package `@earendil-works/pi-ai` (MIT). Its prices are USD per million tokens.
 */
const { values } = parseArgs({ options: { package: { type: 'string' }, 'as-of': { type: 'string' } } });
const { package: folder, 'as-of': asOf } = values;
if (folder === undefined || asOf === undefined) {
  process.stderr.write('usage: price-snapshot.ts --package FOLDER --as-of YYYY-MM-DD\n');
  process.exit(2);
}

/** Vendors whose prices are per token and in USD: subscriptions and resellers' plans are left out. */
const vendors = new Set(
  'amazon-bedrock anthropic azure cerebras deepseek fireworks google google-vertex groq mistral moonshotai openai openrouter together xai zai'.split(
    ' ',
  ),
);

interface Cost {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}
interface Model {
  readonly id: string;
  readonly type: string;
  readonly api: string;
  readonly contextWindow?: number;
  readonly maxTokens?: number;
  readonly cost?: Cost & { readonly tiers?: readonly (Cost & { readonly inputTokensAbove: number })[] };
}

/** A floating point price as the decimal it was written as: at most 12 digits count. */
function decimal(price: number): string {
  return Number(price.toPrecision(12))
    .toFixed(12)
    .replace(/\.?0+$/, '');
}

/** 0 in the source means "not charged" or "not known", and these cannot be told apart: such a bucket gets no price ($-2). */
function pricesOf(cost: Cost, isAnthropic: boolean): Record<string, string> {
  const known = {
    input: cost.input,
    output: cost.output,
    cache_read: cost.cacheRead,
    cache_write: cost.cacheWrite,
    // Anthropic's own rule: one hour in the cache costs twice the input, five minutes 1.25 times.
    cache_write_1h: isAnthropic ? cost.input * 2 : 0,
  };
  return Object.fromEntries(
    Object.entries(known)
      .filter(([, price]) => price > 0)
      .map(([bucket, price]) => [bucket, decimal(price)]),
  );
}

/**
 * What the vendors say of their models: whoever can wait pays half (platform.claude.com "Batch processing", developers.googleblog.com
 * "Batch Mode in the Gemini API", OpenAI's pricing of Batch and Flex; read 2026-11-27). Flex is for some models only; OpenAI refuses it
 * for the others.
 */
const serviceTiers: Readonly<Record<string, object>> = {
  anthropic: { batch: { multiplier: '0.5' } },
  google: { batch: { multiplier: '0.5' } },
  openai: { flex: { multiplier: '0.5' }, batch: { multiplier: '0.5' } },
};

/** Searches of the web are charged by the use: 10 USD for a thousand, as articles and forums of 2026 quote both vendors. The preview of OpenAI costs models without reasoning 25. */
const searchUsdPerMillion: Readonly<Record<string, string>> = { anthropic: '10000', openai: '10000' };

const models: Record<string, unknown> = {};
const data = join(folder, 'dist/providers/data');
for (const file of readdirSync(data).sort()) {
  const vendor = basename(file, '.json');
  if (!vendors.has(vendor)) continue;
  const byApi = JSON.parse(readFileSync(join(data, file), 'utf8')) as Record<string, Record<string, Model>>;
  for (const { id, type, cost, contextWindow, maxTokens } of Object.values(byApi).flatMap(each =>
    Object.values(each),
  )) {
    if (type !== 'chat' || cost === undefined || !(cost.input > 0) || !(cost.output > 0)) continue;
    const isAnthropic = /claude/.test(id);
    models[`${vendor}/${id}`] = {
      ...pricesOf(cost, isAnthropic),
      ...(searchUsdPerMillion[vendor] && { tool_units: searchUsdPerMillion[vendor] }),
      ...(contextWindow && { context_tokens: contextWindow }),
      ...(maxTokens && { max_output_tokens: maxTokens }),
      ...(cost.tiers !== undefined && {
        tiers: [...cost.tiers]
          .sort((left, right) => left.inputTokensAbove - right.inputTokensAbove)
          .map(tier => ({ above_input_tokens: tier.inputTokensAbove, ...pricesOf(tier, isAnthropic) })),
      }),
      ...(serviceTiers[vendor] && { service_tiers: serviceTiers[vendor] }),
    };
  }
}

const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
  name: string;
  version: string;
};
const lines = Object.entries(models)
  .sort(([left], [right]) => (left < right ? -1 : 1))
  .map(([id, prices]) => `    ${JSON.stringify(id)}: ${JSON.stringify(prices)}`);
const head = { source: `npm ${name}@${version}`, licence: 'MIT', as_of: asOf };
writeFileSync(
  resolve(import.meta.dirname, '../packages/shared/src/money/prices.json'),
  `{\n${Object.entries(head)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},\n`)
    .join('')}  "models": {\n${lines.join(',\n')}\n  }\n}\n`,
);
process.stdout.write(`${lines.length} models\n`);
