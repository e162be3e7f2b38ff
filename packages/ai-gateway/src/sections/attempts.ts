import { milliseconds } from '@strata/shared/config/milliseconds.ts';
import * as z from 'zod';

const hourMs = 3_600_000;

export const attempts = z
  .strictObject({
    max_attempts: z.int().min(1).max(16).default(4).describe('Attempts of one request over all targets.'),
    max_rounds: z
      .int()
      .min(1)
      .max(5)
      .default(2)
      .describe('How often the list of targets is gone through; 1 never tries a target again.'),
    max_wait_ms: milliseconds(2000, { max: 60_000 }).describe(
      'Longest wait between rounds. When a provider asks for more, the client is told instead.',
    ),
    max_retry_after_ms: milliseconds(60_000, { max: hourMs }).describe(
      'Longest `Retry-After` that is believed and passed on.',
    ),
    headers_timeout_ms: milliseconds(600_000, { max: hourMs }).describe(
      'Time from the end of the request to the head of the answer. A whole answer of a slow model needs minutes.',
    ),
    first_token_timeout_ms: milliseconds(600_000, { max: hourMs }).describe(
      'Time from dialing a target to the first meaningful event of a stream, or to the head of a whole answer. Then the next target is tried, while nothing was sent to the client.',
    ),
    idle_timeout_ms: milliseconds(120_000, { max: hourMs }).describe(
      'Longest silence in the middle of an answer.',
    ),
    total_timeout_ms: milliseconds(3_600_000, { max: 86_400_000 }).describe(
      'Time of one request over all its attempts, to the last byte of the answer.',
    ),
  })
  .prefault({})
  .describe('When a request is tried again, and where.');

export const hold = z
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
    max_ms: milliseconds(15_000, { max: hourMs }).describe('The same in time from the head of the answer.'),
  })
  .prefault({})
  .describe(
    'How long the beginning of a stream that says nothing yet is held back, so that another target can still answer.',
  );

export const breaker = z
  .strictObject({
    failures: z
      .int()
      .min(1)
      .max(1000)
      .default(5)
      .describe('Failures of a target in a row after which it is left alone. At start.'),
    open_ms: milliseconds(5000, { max: hourMs }).describe(
      'For how long, the first time; it doubles while probes fail. At start.',
    ),
    max_open_ms: milliseconds(60_000, { max: hourMs }).describe('The longest such time. At start.'),
  })
  .prefault({})
  .describe('When a target that keeps failing is left alone.');

export const concurrency = z
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
    max_wait_ms: milliseconds(5000, { max: 600_000 }).describe('How long one waits. At start.'),
  })
  .refine(({ min, initial, max }) => min <= initial && initial <= max, 'must be min <= initial <= max')
  .prefault({})
  .describe(
    'How many requests are under way at once at one target. The limit falls while a target takes many times as long as usual or says that it is overloaded, and grows again. Who waits goes in the order of the header `x-strata-priority`: `interactive`, `agent`, `batch`.',
  );
