import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { systemClock } from '@strata/shared/clock.ts';
import { listedPrices } from '@strata/shared/money/listed-prices.ts';
import { fromLitellm } from '@strata/shared/money/litellm-prices.ts';
import { builtInPrices, readPriceCatalog, type WrittenPrices } from '@strata/shared/money/price-catalog.ts';
import { createPriceStore } from '@strata/shared/money/price-store.ts';
import { loadSharedConfig, withSqlStore } from '@strata/shared/with-key-store.ts';

/** `strata prices import FILE`: the catalog on standard output. @throws Error when the file is no list of models. */
export function importPrices(file: string): void {
  const asOf = new Date().toISOString().slice(0, 10);
  const text = fromLitellm(readFileSync(file, 'utf8'), { source: basename(file), asOf });
  const { version, entries } = readPriceCatalog(text);
  process.stdout.write(`${text}\n`);
  process.stderr.write(`${entries().length} models, ${version}\n`);
}

/** `strata prices [PATTERN]`: prices whose `vendor/model` holds the pattern, in USD per million tokens. What was set by the admin API says so. */
export async function showPrices(pattern = ''): Promise<void> {
  const listed = await withSqlStore(loadSharedConfig(), sql =>
    listedPrices(createPriceStore({ sql, clock: systemClock, onChanged: () => {} })),
  );
  const rows = listed
    .filter(({ id }) => id.includes(pattern))
    .map(({ id, prices, source, version }) => {
      const origin = source === 'admin' ? `  (${version})` : '';
      return `${id}  ${describe(prices)}${origin}\n`;
    });
  if (rows.length === 0) {
    process.stderr.write(
      `No model of the catalog has '${pattern}' in its name. Set \`prices\` at its target.\n`,
    );
    process.exitCode = 1;
    return;
  }
  const catalog = builtInPrices();
  process.stdout.write(rows.join(''));
  process.stderr.write(
    `${rows.length} models, USD per million tokens, from ${catalog.source}, ${catalog.version}\n`,
  );
}

function describe({
  tiers,
  service_tiers: services = {},
  context_tokens: _,
  max_output_tokens: __,
  ...base
}: WrittenPrices): string {
  const other = Object.entries(services).map(
    ([name, { tiers: own, ...prices }]) => `; ${name}: ${byLength(prices, own)}`,
  );
  return `${byLength(base, tiers)}${other.join('')}`;
}

function byLength(base: Listed, tiers: WrittenPrices['tiers'] = []): string {
  const higher = tiers.map(
    ({ above_input_tokens: bound, ...tier }) => `; above ${bound} input tokens: ${listed(tier)}`,
  );
  return `${listed(base)}${higher.join('')}`;
}

type Listed = Readonly<Record<string, string | undefined>>;

function listed(prices: Listed): string {
  return Object.entries(prices)
    .map(([bucket, price]) => `${bucket} ${price}`)
    .join(', ');
}
