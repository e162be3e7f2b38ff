import { lengthTiers, servicePrices, writtenBuckets } from '@strata/shared/money/price-catalog.ts';
import * as z from 'zod';
import { features, modalities } from '../domain/capabilities.ts';

export const name = z
  .string()
  .min(1)
  .max(128)
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/,
    'letters, digits and `. _ : / @ -`, beginning with a letter or digit',
  );

const prices = z
  .strictObject({
    ...writtenBuckets,
    tiers: lengthTiers,
    service_tiers: servicePrices
      .optional()
      .describe(
        'Prices of the tiers of service, by the name that the provider has for them: `flex`, `priority`. An answer of a tier that is not listed is reported as unpriced.',
      ),
  })
  .optional()
  .describe(
    'What tokens and other units cost, in place of what the price catalog says of the model. An answer that used tokens without a price is reported as unpriced, never as free.',
  );

const target = z.strictObject({
  provider: z.string().describe('A name from `providers`.'),
  model: z.string().min(1).max(256).describe("The provider's name of the model."),
  prices,
  weight: z
    .number()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe(
      'Targets next to each other that have a weight share the requests by it, and stand in for one another. Without one, a target is tried in its place in the list.',
    ),
});

const count = () => z.int().min(1).max(1_000_000_000).optional();
const kinds = (what: string) =>
  z.array(z.enum(modalities)).min(1).optional().describe(`What the model ${what}.`);

const capabilities = z
  .strictObject({
    context_tokens: count().describe('Longest context in tokens.'),
    max_output_tokens: count().describe('Longest answer in tokens.'),
    input_modalities: kinds('reads'),
    output_modalities: kinds('writes'),
    features: z.array(z.enum(features)).optional().describe('What else it can do.'),
  })
  .optional()
  .describe(
    'What the list of models says of this one. The lengths are by default the least of what the price catalog knows of the targets; the rest is not said.',
  );

const hedge = z
  .strictObject({
    after_ms: z
      .int()
      .min(10)
      .max(3_600_000)
      .describe('How long an answer may take before the next target is asked too.'),
    max_share: z
      .number()
      .min(0)
      .max(1)
      .default(0.05)
      .describe('Of the requests of the model, how many may be asked twice, over time.'),
  })
  .optional()
  .describe(
    'Asks the next target too when the first takes long, and takes the answer that comes first. The other attempt is called off, and what it used is paid for. For answers that are not streamed. Off by default.',
  );

/** A model that clients may ask for, and where requests for it go. */
export const model = z.strictObject({
  capabilities,
  hedge,
  targets: z
    .array(target)
    .min(1)
    .max(16)
    .describe('Where requests go, in order of preference: when one cannot answer, the next is tried.'),
});
