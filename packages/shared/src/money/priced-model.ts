import * as z from 'zod';
import { writtenPrices } from './price-catalog.ts';
import { isUsePrice, useKindOf } from './use-prices.ts';

const notPrices = new Set(['context_tokens', 'max_output_tokens', 'tiers', 'service_tiers']);

/** What can be given a price, and the price: as the admin API takes it, and as a list has it. */
export const pricedModel = z
  .strictObject({
    vendor: z
      .string()
      .regex(/^[^/]{1,100}$/)
      .describe(
        'As in the snapshot; of a provider without a vendor, its name in the configuration. `tool:SERVER` and `agent:NAMESPACE` for what is charged by the use.',
      ),
    model: z
      .string()
      .min(1)
      .max(200)
      .describe(
        "Of a tool the server's own name for it, of an agent its name; there `*` stands for any characters.",
      ),
    prices: writtenPrices.refine(
      prices => Object.keys(prices).some(name => !notPrices.has(name)),
      'expected at least one price',
    ),
  })
  .refine(({ vendor, prices }) => useKindOf(vendor) === undefined || isUsePrice(prices), {
    path: ['prices'],
    message: 'expected `tool_units` alone, USD per million uses: tools and agents are charged by the use',
  });
