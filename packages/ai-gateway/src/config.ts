import { listenSchema } from '@strata/shared/config/listen.ts';
import { nearestName } from '@strata/shared/config/problem.ts';
import { servicePrices, writtenBuckets } from '@strata/shared/money/price-catalog.ts';
import * as z from 'zod';
import { features, modalities } from './domain/capabilities.ts';
import { providerSchema } from './providers/registry.ts';

const milliseconds = (value: number, max = 3_600_000) => z.int().min(1).max(max).default(value);
const name = z
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

const model = z.strictObject({
  capabilities,
  hedge,
  targets: z
    .array(target)
    .min(1)
    .max(16)
    .describe('Where requests go, in order of preference: when one cannot answer, the next is tried.'),
});

const attempts = z
  .strictObject({
    max_attempts: z.int().min(1).max(16).default(4).describe('Attempts of one request over all targets.'),
    max_rounds: z
      .int()
      .min(1)
      .max(5)
      .default(2)
      .describe('How often the list of targets is gone through; 1 never tries a target again.'),
    max_wait_ms: milliseconds(2000, 60_000).describe(
      'Longest wait between rounds. When a provider asks for more, the client is told instead.',
    ),
    max_retry_after_ms: milliseconds(60_000).describe(
      'Longest `Retry-After` that is believed and passed on.',
    ),
    headers_timeout_ms: milliseconds(600_000).describe(
      'Time from the end of the request to the head of the answer. A whole answer of a slow model needs minutes.',
    ),
    first_token_timeout_ms: milliseconds(600_000).describe(
      'Time from dialing a target to the first meaningful event of a stream, or to the head of a whole answer. Then the next target is tried, while nothing was sent to the client.',
    ),
    idle_timeout_ms: milliseconds(120_000).describe('Longest silence in the middle of an answer.'),
    total_timeout_ms: milliseconds(3_600_000, 86_400_000).describe(
      'Time of one request over all its attempts, to the last byte of the answer.',
    ),
  })
  .prefault({})
  .describe('When a request is tried again, and where.');

const hold = z
  .strictObject({
    max_events: z
      .int()
      .min(1)
      .max(1024)
      .default(64)
      .describe('Events that may be held back before the answer is committed.'),
    max_bytes: z
      .int()
      .min(1024)
      .max(4 * 1024 * 1024)
      .default(256 * 1024)
      .describe('The same in bytes; the smaller limit counts.'),
    max_ms: milliseconds(15_000).describe('The same in time from the head of the answer.'),
  })
  .prefault({})
  .describe(
    'How long the beginning of a stream that says nothing yet is held back, so that another target can still answer.',
  );

const breaker = z
  .strictObject({
    failures: z
      .int()
      .min(1)
      .max(1000)
      .default(5)
      .describe('Failures of a target in a row after which it is left alone. At start.'),
    open_ms: milliseconds(5000).describe(
      'For how long, the first time; it doubles while probes fail. At start.',
    ),
    max_open_ms: milliseconds(60_000).describe('The longest such time. At start.'),
  })
  .prefault({})
  .describe('When a target that keeps failing is left alone.');

const concurrency = z
  .strictObject({
    initial: z
      .int()
      .min(1)
      .max(65_536)
      .default(1024)
      .describe('The limit before anything was learned. At start.'),
    min: z.int().min(1).max(65_536).default(32).describe('The limit never falls below this. At start.'),
    max: z.int().min(1).max(65_536).default(8192).describe('The limit never grows beyond this. At start.'),
    max_waiting: z
      .int()
      .min(0)
      .max(65_536)
      .default(1024)
      .describe('Requests that may wait for a place; then the least urgent is refused. At start.'),
    max_wait_ms: milliseconds(5000, 600_000).describe('How long one waits. At start.'),
  })
  .refine(({ min, initial, max }) => min <= initial && initial <= max, 'must be min <= initial <= max')
  .prefault({})
  .describe(
    'How many requests are under way at once at one target. The limit falls while a target takes many times as long as usual or says that it is overloaded, and grows again. Who waits goes in the order of the header `x-strata-priority`: `interactive`, `agent`, `batch`.',
  );

const conversations = z
  .strictObject({
    ttl_ms: z
      .int()
      .min(60_000)
      .max(366 * 86_400_000)
      .default(30 * 86_400_000)
      .describe(
        'For how long an answer of the Responses API can be read and gone on from, and a conversation that nobody uses.',
      ),
    event_ttl_ms: z
      .int()
      .min(60_000)
      .max(366 * 86_400_000)
      .default(86_400_000)
      .describe('For how long the events of an answer in the background can be streamed again.'),
    max_background: z
      .int()
      .min(0)
      .max(100_000)
      .default(100)
      .describe('Answers that may be made in the background at once for one principal; 0 refuses them.'),
    max_conversations: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(10_000)
      .describe('Conversations that are kept for one principal at once; 0 refuses them.'),
  })
  .prefault({})
  .describe('Answers that are kept, are made in the background, or belong to a conversation.');

const realtime = z
  .strictObject({
    max_message_bytes: z
      .int()
      .min(1024)
      .max(256 * 1024 * 1024)
      .default(16 * 1024 * 1024)
      .describe('Largest event of a session, in either direction.'),
    transcription_model: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The model, by its name in `models`, at which sessions with `intent=transcription` are opened that name none in their address.',
      ),
    handshake_timeout_ms: milliseconds(30_000).describe('Time for a provider to accept a session.'),
    max_session_ms: milliseconds(3_600_000, 86_400_000).describe('How long a session may last.'),
    idle_timeout_ms: milliseconds(300_000).describe(
      'How long a session may go on in which neither side says anything or answers a ping.',
    ),
  })
  .prefault({})
  .describe('Sessions of the Realtime API.');

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
      'The provider, by its name, to which files go that are for no model. By default the only one that has files. Files of batches go where their model is.',
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
  client_stall_ms: milliseconds(60_000).describe(
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

/** As much of the section as the check of references reads; what is malformed is reported by its own schema. */
const references = z.object({
  files_provider: z.string().optional().catch(undefined),
  providers: z.record(z.string(), z.unknown()).catch({}),
  models: z
    .record(
      z.string(),
      z
        .object({ targets: z.array(z.object({ provider: z.string() }).catch({ provider: '' })).catch([]) })
        .catch({ targets: [] }),
    )
    .catch({}),
});

/** Names of providers that are not there. */
function danglingTargets(value: unknown): { path: (string | number)[]; message: string }[] {
  const { providers, models, files_provider: filesProvider } = references.parse(value);
  const known = Object.keys(providers);
  const files = filesProvider === undefined ? [] : dangling(filesProvider, ['files_provider'], known);
  const targets = Object.entries(models).flatMap(([alias, { targets }]) =>
    targets.flatMap(({ provider }, index) => {
      if (provider === '') return [];
      return dangling(provider, ['models', alias, 'targets', index, 'provider'], known);
    }),
  );
  return [...files, ...targets];
}

function dangling(provider: string, path: (string | number)[], known: readonly string[]) {
  if (known.includes(provider)) return [];
  const near = nearestName(provider, known);
  const hint = near === undefined ? `known: ${known.join(', ') || 'none'}` : `did you mean '${near}'?`;
  return [{ path, message: `there is no provider of this name; ${hint}` }];
}
