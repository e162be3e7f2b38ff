import * as z from 'zod';
import { listedOverride, listedPrices } from '../../money/listed-prices.ts';
import { litellmModels } from '../../money/litellm-prices.ts';
import { builtInPrices, splitPriceId } from '../../money/price-catalog.ts';
import { overrideVersion, type PriceChange } from '../../money/price-store.ts';
import { pricedModel } from '../../money/priced-model.ts';
import type { AdminDeps } from '../admin-deps.ts';
import { type AdminRoute, defineRoute } from '../admin-route.ts';
import { absent } from '../route-access.ts';
import { pageOf, pageQuery, readPage, showMoment } from './list-page.ts';

const shownBuckets = z.record(z.string(), z.unknown());
const readers = ['owner', 'operator', 'auditor', 'member'] as const;
const source = z.enum(['admin', 'snapshot']);

const shownPrice = z.object({
  id: z.string().describe('`vendor/model`.'),
  vendor: z.string(),
  model: z.string(),
  prices: shownBuckets,
  source,
  version: z.string().describe('As in usage entries.'),
});

const idParams = z.object({ id: z.string().max(400).describe('`vendor/model`, its slashes as `%2F`.') });

/**
 * The prices that requests are counted with where the configuration of a target says nothing else. What is set here is of the whole
 * installation, goes before price files and the snapshot, and is in force in every process within a second.
 */
export function priceRoutes(deps: AdminDeps): AdminRoute[] {
  return [
    listPrices(deps),
    setPrice(deps),
    importPrices(deps),
    getPrice(deps),
    priceHistory(deps),
    removePrice(deps),
  ];
}

function listPrices(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/prices',
    operation: 'price.list',
    summary: 'Prices by vendor and model, in USD per million tokens: what was set here, else the snapshot.',
    roles: readers,
    query: z.object({
      ...pageQuery,
      pattern: z.string().max(200).default('').describe('Part of `vendor/model`.'),
      source: source.optional().describe('Only those that were set here, or only those of the snapshot.'),
    }),
    answer: pageOf(shownPrice).extend({ source: z.string(), version: z.string() }),
    handle: async ({ query }, context) => {
      const matching = (await listedPrices(deps.priceStore)).filter(
        each => each.id.includes(query.pattern) && (query.source ?? each.source) === each.source,
      );
      const { body } = await readPage(context, query, {
        read: async ({ after = '', limit }) => matching.filter(({ id }) => id > after).slice(0, limit),
        positionOf: ({ id }) => id,
        show: price => price,
      });
      const { source: origin, version } = builtInPrices();
      return { body: { ...body, source: origin, version } };
    },
  });
}

const describeChange = ({ version, changed }: PriceChange) => ({
  type: 'price',
  id: changed.length === 1 && changed[0] ? `${changed[0].vendor}/${changed[0].model}` : '*',
  details: {
    version: version ?? null,
    changed: changed.length,
    ...(changed.length === 1 && { prices: JSON.stringify(changed[0]?.prices ?? null) }),
  },
});

function setPrice(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/prices',
    operation: 'price.set',
    summary: 'Set the prices of a model: a new version, from now on. The versions before are kept.',
    roles: ['owner'],
    installationOnly: true,
    changes: true,
    status: 201,
    body: pricedModel,
    answer: shownPrice,
    handle: async ({ body }, context) => {
      const set = await deps.priceStore.set(body, context.change(describeChange));
      return { body: listedOverride(set), revision: set.version };
    },
  });
}

/** LiteLLM's list has some thousand models with some twenty members each. */
const importLimits = { maxBytes: 8 * 1024 * 1024, maxDepth: 16, maxNodes: 400_000 };

function importPrices(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'POST',
    path: '/prices/import',
    operation: 'price.import',
    summary:
      'Set the prices of all models of a list in the format of LiteLLM’s `model_prices_and_context_window.json`, at once. Models without a price for input and output, or with one that cannot be read, are left out; what is in force already stays.',
    roles: ['owner'],
    installationOnly: true,
    changes: true,
    body: z.record(z.string(), z.unknown()),
    bodyLimits: importLimits,
    answer: z.object({
      version: z.string().optional().describe('Of those that were changed; absent when none was.'),
      listed: z.int(),
      priced: z.int(),
      changed: z.int(),
    }),
    handle: async ({ body }, context) => {
      const prices = Object.entries(litellmModels(body)).map(([id, each]) => ({
        ...splitPriceId(id),
        prices: each,
      }));
      const { version, changed } = await deps.priceStore.setAll(prices, {
        record: context.change(describeChange).record,
      });
      return {
        body: {
          ...(version !== undefined && { version: overrideVersion({ version }) }),
          listed: Object.keys(body).length,
          priced: prices.length,
          changed: changed.length,
        },
      };
    },
  });
}

function getPrice(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/prices/:id',
    operation: 'price.get',
    summary: 'The prices of one model: what was set here, else what the snapshot has.',
    roles: readers,
    params: idParams,
    answer: shownPrice,
    handle: async ({ params }) => {
      const override = await deps.priceStore.find(splitPriceId(params.id));
      if (override !== undefined) return { body: listedOverride(override), revision: override.version };
      const listed = builtInPrices()
        .entries()
        .find(({ vendor, model }) => `${vendor}/${model}` === params.id);
      if (listed === undefined) throw absent('price');
      return {
        body: { id: params.id, ...listed, source: 'snapshot' as const, version: builtInPrices().version },
      };
    },
  });
}

function priceHistory(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'GET',
    path: '/prices/:id/versions',
    operation: 'price.history',
    summary: 'Every version of what was set for a model, newest first.',
    roles: readers,
    params: idParams,
    query: z.object(pageQuery),
    answer: pageOf(
      z.object({
        version: z.string(),
        set_at: z.string(),
        prices: shownBuckets.optional().describe('Absent where it was taken back.'),
      }),
    ),
    handle: ({ params, query }, context) =>
      readPage(context, query, {
        read: ({ after, limit }) =>
          deps.priceStore.history(splitPriceId(params.id), {
            before: after === undefined ? undefined : Number(after),
            limit,
          }),
        positionOf: ({ version }) => String(version),
        show: each => ({
          version: overrideVersion(each),
          set_at: showMoment(each.atMs),
          ...(each.prices !== undefined && { prices: each.prices }),
        }),
      }),
  });
}

function removePrice(deps: AdminDeps): AdminRoute {
  return defineRoute({
    method: 'DELETE',
    path: '/prices/:id',
    operation: 'price.delete',
    summary: 'Take back what was set for a model: price file and snapshot hold again. The versions are kept.',
    roles: ['owner'],
    installationOnly: true,
    changes: true,
    needsRevision: true,
    status: 204,
    params: idParams,
    handle: async ({ params }, context) => {
      await deps.priceStore.remove(splitPriceId(params.id), context.change(describeChange));
      return { body: undefined };
    },
  });
}
