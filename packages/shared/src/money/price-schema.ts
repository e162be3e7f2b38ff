import type { Migration } from '../stores/migrations.ts';

export interface PriceTables {
  /** Every price that the admin API has ever set, one row a change; the newest of a model is in force. */
  price_overrides: {
    vendor: string;
    model: string;
    /** Of the change, in the log of changes: rises, never used twice. */
    version: number;
    /** JSON of `WrittenPrices`; null where the override was taken back. */
    prices: string | null;
    at_ms: number;
  };
}

export const priceMigration: Migration = {
  name: '0004-price-overrides',
  statements: ({ text, integer, json, timeMs, tableOptions, appendOnly }) => [
    `create table price_overrides (
      vendor ${text} not null,
      model ${text} not null,
      version ${integer} not null,
      prices ${json},
      at_ms ${timeMs} not null,
      primary key (vendor, model, version)
    ) ${tableOptions}`,
    ...appendOnly('price_overrides'),
  ],
};
