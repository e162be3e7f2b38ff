import type { Transaction } from 'kysely';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors/gateway-error.ts';
import { noteChange } from '../identity/identity-changes.ts';
import type { IdentitySchema } from '../identity/identity-schema.ts';
import { canonicalJson } from '../json/canonical-json.ts';
import type { SqlStore } from '../stores/sql.ts';
import { type WrittenPrices, writtenPrices } from './price-catalog.ts';
import type { PriceTables } from './price-schema.ts';

export interface ModelPrices {
  readonly vendor: string;
  readonly model: string;
  readonly prices: WrittenPrices;
}

/** One version of a model's override. */
export interface PriceVersion extends Omit<ModelPrices, 'prices'> {
  readonly version: number;
  /** Undefined where the override was taken back. */
  readonly prices: WrittenPrices | undefined;
  readonly atMs: number;
}

export type PriceOverride = PriceVersion & ModelPrices;

/** What was changed in one step. Without a version there was nothing to change. */
export interface PriceChange {
  readonly version: number | undefined;
  readonly changed: readonly Omit<PriceVersion, 'version' | 'atMs'>[];
}

type PriceSchema = PriceTables & IdentitySchema;
type PriceTransaction = Transaction<PriceSchema>;

export interface PriceChangeOptions {
  /** What else happens in the transaction of the change: the audit's place. */
  readonly record?: ((transaction: PriceTransaction, change: PriceChange) => Promise<void>) | undefined;
  /** The version that the change was decided on. */
  readonly revision?: number | undefined;
}

/** Prices that are set while the gateways run. Nothing is ever edited or deleted: each change adds a version, and a cost names its own. */
export interface PriceStore {
  /** @throws GatewayError conflict (`revision_mismatch`). */
  set(price: ModelPrices, options?: PriceChangeOptions): Promise<PriceOverride>;
  /** Sets many at once, under one version. Those that are in force already keep the version that they have. */
  setAll(prices: readonly ModelPrices[], options?: PriceChangeOptions): Promise<PriceChange>;
  /** The catalog's price is in force again. @throws GatewayError not_found (`unknown_price`), conflict (`revision_mismatch`). */
  remove(model: { vendor: string; model: string }, options?: PriceChangeOptions): Promise<void>;
  find(model: { vendor: string; model: string }): Promise<PriceOverride | undefined>;
  /** Newest first, below the version `before`. */
  history(
    model: { vendor: string; model: string },
    page: { readonly before: number | undefined; readonly limit: number },
  ): Promise<PriceVersion[]>;
  /** Every override in force. */
  inForce(): Promise<PriceOverride[]>;
}

/** How an override is named beside the costs that were counted with it: `admin/17`. */
export function overrideVersion({ version }: { readonly version: number }): string {
  return `admin/${version}`;
}

const insertRows = 500;

export function createPriceStore(options: {
  readonly sql: SqlStore<PriceSchema>;
  readonly clock: Clock;
  /** Called after a change was committed: the moment to tell other processes. */
  readonly onChanged: () => void;
}): PriceStore {
  const { sql, clock, onChanged } = options;
  const { db } = sql;

  /** The log's row is locked first, so what `decide` sees in force is in force until the commit. */
  async function change(
    id: string,
    decide: (transaction: PriceTransaction, version: number) => Promise<PriceChange['changed']>,
    { record }: PriceChangeOptions,
  ): Promise<PriceChange & { atMs: number }> {
    const done = await db.transaction().execute(async transaction => {
      const atMs = clock.now();
      const version = await noteChange(transaction, { tenant: '*', kind: 'price', id }, atMs);
      const changed = await decide(transaction, version);
      for (let from = 0; from < changed.length; from += insertRows) {
        const rows = changed.slice(from, from + insertRows).map(({ vendor, model, prices }) => ({
          vendor,
          model,
          version,
          prices: prices === undefined ? null : canonicalJson(prices),
          at_ms: atMs,
        }));
        await transaction.insertInto('price_overrides').values(rows).execute();
      }
      const result = { version: changed.length === 0 ? undefined : version, changed };
      await record?.(transaction, result);
      return { ...result, atMs };
    });
    onChanged();
    return done;
  }

  return {
    async set(price, options = {}) {
      const decide = async (transaction: PriceTransaction) => {
        requireRevision(await newest(transaction, price), options.revision);
        return [price];
      };
      const { version = 0, atMs } = await change(idOf(price), decide, options);
      return { ...price, version, atMs };
    },
    setAll: (prices, options = {}) =>
      change(
        'import',
        async transaction => {
          const known = new Map((await readInForce(transaction)).map(each => [idOf(each), each.prices]));
          return prices.filter(each => {
            const before = known.get(idOf(each));
            return before === undefined || canonicalJson(before) !== canonicalJson(each.prices);
          });
        },
        options,
      ),
    async remove({ vendor, model }, options = {}) {
      const decide = async (transaction: PriceTransaction) => {
        const before = await newest(transaction, { vendor, model });
        if (before?.prices === undefined) throw unknownPrice();
        requireRevision(before, options.revision);
        return [{ vendor, model, prices: undefined }];
      };
      await change(idOf({ vendor, model }), decide, options);
    },
    async find(model) {
      const found = await newest(db, model);
      return found?.prices && { ...found, prices: found.prices };
    },
    async history({ vendor, model }, { before, limit }) {
      let rows = db
        .selectFrom('price_overrides')
        .selectAll()
        .where('vendor', '=', vendor)
        .where('model', '=', model);
      if (before !== undefined) rows = rows.where('version', '<', before);
      return (await rows.orderBy('version', 'desc').limit(limit).execute()).map(toVersion);
    },
    inForce: () => readInForce(db),
  };
}

type Reader = SqlStore<PriceSchema>['db'];

async function newest(
  db: Reader,
  { vendor, model }: { vendor: string; model: string },
): Promise<PriceVersion | undefined> {
  const row = await db
    .selectFrom('price_overrides')
    .selectAll()
    .where('vendor', '=', vendor)
    .where('model', '=', model)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && toVersion(row);
}

async function readInForce(db: Reader): Promise<PriceOverride[]> {
  const rows = await db
    .selectFrom('price_overrides as price')
    .selectAll()
    .where('version', '=', query =>
      query
        .selectFrom('price_overrides as newer')
        .select(({ fn }) => fn.max('newer.version').as('version'))
        .whereRef('newer.vendor', '=', 'price.vendor')
        .whereRef('newer.model', '=', 'price.model'),
    )
    .where('prices', 'is not', null)
    .execute();
  return rows.map(toVersion).flatMap(each => (each.prices ? [{ ...each, prices: each.prices }] : []));
}

function toVersion(row: PriceTables['price_overrides']): PriceVersion {
  return {
    vendor: row.vendor,
    model: row.model,
    version: Number(row.version),
    prices: row.prices === null ? undefined : writtenPrices.parse(JSON.parse(row.prices)),
    atMs: Number(row.at_ms),
  };
}

function idOf({ vendor, model }: { vendor: string; model: string }): string {
  return `${vendor}/${model}`;
}

function requireRevision(found: PriceVersion | undefined, revision: number | undefined): void {
  if (revision === undefined || found?.version === revision) return;
  throw new GatewayError('conflict', 'The price was changed since it was read.', {
    reason: 'revision_mismatch',
  });
}

function unknownPrice(): GatewayError {
  return new GatewayError('not_found', 'There is no such price override.', { reason: 'unknown_price' });
}
