import * as z from 'zod';
import { builtInPrices } from '../../money/price-catalog.ts';
import { type AdminRoute, defineRoute } from '../admin-route.ts';
import { pageOf, pageQuery, readPage } from './list-page.ts';

const buckets = z.record(z.string(), z.unknown());

/** The prices that requests are counted with where the configuration says nothing else. */
export function priceRoutes(): AdminRoute[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/prices',
      operation: 'price.list',
      summary: 'The price catalog, by vendor and model, in USD per million tokens.',
      roles: ['owner', 'operator', 'auditor', 'member'],
      query: z.object({
        ...pageQuery,
        pattern: z.string().max(200).default('').describe('Part of `vendor/model`.'),
      }),
      answer: pageOf(
        z.object({ id: z.string(), vendor: z.string(), model: z.string(), prices: buckets }),
      ).extend({
        source: z.string(),
        version: z.string(),
      }),
      handle: async ({ query }, context) => {
        const { source, version, entries } = builtInPrices();
        const matching = entries()
          .map(({ vendor, model, prices }) => ({ id: `${vendor}/${model}`, vendor, model, prices }))
          .filter(({ id }) => id.includes(query.pattern))
          .sort((left, right) => (left.id < right.id ? -1 : 1));
        const { body } = await readPage(context, query, {
          read: async ({ after = '', limit }) => matching.filter(({ id }) => id > after).slice(0, limit),
          positionOf: ({ id }) => id,
          show: price => price,
        });
        return { body: { ...body, source, version } };
      },
    }),
  ];
}
