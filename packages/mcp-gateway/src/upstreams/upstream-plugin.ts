import type { Clock } from '@strata/shared/clock.ts';
import type { Dialer } from '@strata/shared/http/dialer.ts';
import { isDecimalUsd } from '@strata/shared/money/price.ts';
import { definePlugin } from '@strata/shared/plugin.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import * as z from 'zod';
import type { TransportFactory } from './transport.ts';

export interface UpstreamPluginDeps {
  /** The server's name in the configuration. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dialer: Dialer;
}

/** A way to reach tool servers: its options in the configuration, and how to make transports from them. */
export const defineUpstream = definePlugin<UpstreamPluginDeps, TransportFactory>();

/** What every kind of tool server can be told. */
export const upstreamOptions = {
  enabled: z.boolean().default(true).describe('Whether the server is offered at all.'),
  sharing: z
    .enum(['session', 'shared'])
    .default('session')
    .describe(
      'session: every client session has its own conversation with the server (for stdio its own process), so nothing leaks from one caller to another. shared: all sessions use one; only for servers that keep no state about their client. A shared server cannot ask clients for input.',
    ),
  names: z
    .enum(['prefixed', 'plain'])
    .default('prefixed')
    .describe(
      'prefixed: tools and prompts are shown as `server__name`. plain: under their own names; names that two servers claim are refused.',
    ),
  timeout_ms: z
    .int()
    .min(100)
    .max(86_400_000)
    .default(120_000)
    .describe('How long a call may take before it is cancelled and answered with an error.'),
  tool_timeouts_ms: z
    .record(z.string(), z.int().min(100).max(86_400_000))
    .default({})
    .describe("The same for single tools, by the server's own name for the tool."),
  retry_tools: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Globs over the server's own names: tools that do no harm when they are done twice. A call of one is made again, once, when the server was lost in the middle of it. Any other call is answered with an error.",
    ),
  trust_annotations: z
    .boolean()
    .default(false)
    .describe(
      'Whether tools that call themselves read-only or idempotent are called again like those of `retry_tools`. It is the word of the server.',
    ),
  tool_limits: z
    .record(
      z.string().min(1),
      z.strictObject({
        concurrent: z.int().min(1).optional().describe('Calls at a time, of all callers together.'),
        per_minute: z.int().min(1).optional().describe('Calls a minute, of each principal.'),
      }),
    )
    .default({})
    .describe(
      "Limits by globs over the server's own names for tools; the first that matches counts. Replicas share them through Redis; without it each keeps to its part.",
    ),
  tool_prices_usd: z
    .record(z.string().min(1), z.string().refine(isDecimalUsd, 'expected a decimal number such as "0.005"'))
    .default({})
    .describe(
      "What a call costs, USD, by globs over the server's own names for tools; the first that matches counts. Calls of such tools are booked in the usage ledger.",
    ),
  uri_schemes: z
    .array(z.string().regex(/^[a-z][a-z0-9+.-]*$/, 'a scheme in lower case, without the colon'))
    .optional()
    .describe(
      'URI schemes of the resources that are offered and read of this server, such as `ui`; without it, all. The gateway itself opens no URI.',
    ),
  open_timeout_ms: z
    .int()
    .min(100)
    .max(600_000)
    .default(20_000)
    .describe('How long starting or reaching the server and its handshake may take.'),
  max_result_bytes: z
    .int()
    .min(1024)
    .max(1024 ** 3)
    .default(4 * 1024 * 1024)
    .describe('The largest answer that is passed on, bytes. A larger one is answered with an error.'),
};
