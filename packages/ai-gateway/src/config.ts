import { listenSchema } from '@strata/shared/config/listen.ts';
import { milliseconds } from '@strata/shared/config/milliseconds.ts';
import * as z from 'zod';
import { providerSchema } from './providers/registry.ts';
import { attempts, breaker, concurrency, hold } from './sections/attempts.ts';
import { danglingTargets } from './sections/dangling-targets.ts';
import { conversations, realtime } from './sections/lasting-answers.ts';
import { model, name } from './sections/model.ts';

const section = z.strictObject({
  listen: listenSchema({ port: 4100 }),
  providers: z
    .record(name, providerSchema)
    .default({})
    .describe('Accounts at model vendors, by a name of your own.'),
  models: z
    .record(name, model)
    .default({})
    .describe('The models that clients may ask for, by the name they use.'),
  price_file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A price catalog, as `strata prices import` writes it. What it lists wins over the built-in catalog; `prices` at a target win over both.',
    ),
  unpriced: z
    .enum(['warn', 'block'])
    .default('warn')
    .describe(
      'What happens with a model that has no price, in the configuration or the catalog: `warn` marks its answers as unpriced, `block` does not ask it.',
    ),
  on_unsupported: z
    .enum(['report', 'error'])
    .default('report')
    .describe(
      'What happens to a request with parameters that a target of another protocol cannot take: `report` leaves them out and names them in the header `x-strata-changed`, `error` passes the target by.',
    ),
  files_provider: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The provider, by its name, to which files go that are for no model. By default, and for clients of an API that it does not have, the only one that has files. Files of batches go where their model is.',
    ),
  conversations,
  realtime,
  attempts,
  breaker,
  concurrency,
  hold,
  max_upload_bytes: z
    .int()
    .min(1024)
    .max(1024 ** 4)
    .default(512 * 1024 * 1024)
    .describe(
      'Largest form with files: sound, pictures, files for batches. Files of more than 256 KiB lie in `uploads` of `data_dir` until the request is answered.',
    ),
  max_answer_bytes: z
    .int()
    .min(1024)
    .max(1024 ** 3)
    .default(64 * 1024 * 1024)
    .describe('Largest answer that is not a stream.'),
  client_stall_ms: milliseconds(60_000, { max: 3_600_000 }).describe(
    'How long a client may leave a stream unread before it is dropped.',
  ),
});

/** The section `ai_gateway` of the configuration. */
export const aiGatewaySection = section
  .superRefine(
    (value, context) => {
      for (const { path, message } of danglingTargets(value))
        context.addIssue({ code: 'custom', path, message });
    },
    // Also when other keys are wrong, so that all mistakes are reported at once.
    { when: () => true },
  )
  .prefault({})
  .describe('The gateway to model providers.');

export type AiGatewaySection = z.output<typeof section>;
