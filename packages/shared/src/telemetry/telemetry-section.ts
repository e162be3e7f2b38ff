import * as z from 'zod';
import { secretString } from '../config/secret-string.ts';

/** What a gateway tells about itself, and to whom. */
export const telemetrySection = z
  .strictObject({
    log_level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info')
      .describe('Lowest level that is logged.'),
    otlp_endpoint: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'Base address of an OpenTelemetry collector (OTLP over HTTP), such as `http://collector:4318`. Without it nothing is exported. At start.',
      ),
    otlp_headers: z
      .record(z.string(), secretString())
      .default({})
      .describe('Headers for the collector, such as its key. At start.'),
    sample_ratio: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('Share of new traces that is recorded when the caller did not decide. At start.'),
    recent_spans: z
      .number()
      .int()
      .min(0)
      .max(100_000)
      .default(0)
      .describe(
        'How many finished spans are kept in memory for `GET /admin/v1/traces/{traceId}`; 0 keeps none. At start.',
      ),
  })
  .prefault({})
  .describe('Logs, traces and metrics.');

export type TelemetryConfig = ReturnType<typeof telemetrySection.parse>;
