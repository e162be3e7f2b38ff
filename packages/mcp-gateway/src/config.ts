import { listenSchema } from '@strata/shared/config/listen.ts';
import { milliseconds } from '@strata/shared/config/milliseconds.ts';
import { secretString } from '@strata/shared/config/secret-string.ts';
import * as z from 'zod';
import { findLookalikes, serverNamePattern } from './domain/names.ts';
import { serverSchema } from './upstreams/registry.ts';

const count = (value: number, max: number) => z.int().min(1).max(max).default(value);

const day = 86_400_000;

const sessions = z
  .strictObject({
    idle_ms: milliseconds(1_800_000, { min: 1000, max: 30 * day }).describe(
      'A session without requests, running calls and open streams ends after this long.',
    ),
    absolute_ms: milliseconds(day, { min: 1000, max: 365 * day }).describe(
      'Every session ends after this long; its client starts a new one.',
    ),
    pending_ms: milliseconds(60_000, { min: 100, max: day }).describe(
      'How long a client may take from the answer to `initialize` to its next message.',
    ),
    max: count(20_000, 1_000_000).describe('Sessions at a time.'),
    max_per_principal: count(10_000, 1_000_000).describe(
      'Sessions of one principal at a time; a further one ends the one that was unused for longest.',
    ),
    max_calls: count(256, 100_000).describe('Requests of one session at a time.'),
  })
  .prefault({})
  .describe('Limits on client sessions.');

const streams = z
  .strictObject({
    stream_after_ms: milliseconds(200, { min: 0, max: 60_000 }).describe(
      'A request that is not answered by then is answered with an event stream, which a client can resume after a lost connection. Faster answers are plain JSON. 0: every answer is a stream.',
    ),
    retry_ms: milliseconds(1000, { min: 10, max: 60_000 }).describe(
      'How long clients are told to wait before they connect again.',
    ),
    keep_ms: milliseconds(300_000, { min: 1000, max: day }).describe(
      'How long the events of a finished stream can still be fetched.',
    ),
    max_events: count(512, 100_000).describe('Events of one stream that are kept for resuming.'),
    max_bytes: count(8 * 1024 * 1024, 1024 ** 3).describe('The same in bytes; the smaller limit counts.'),
  })
  .prefault({})
  .describe('Event streams to clients.');

const replicas = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'Address under which the other replicas of this gateway reach this one, such as `http://10.0.0.5:4200`. With it, and with `hot.url` the same for all, a session may be used at any replica, and outlives the one that owns it. Without it, sessions belong to this process alone. At start.',
      ),
    heartbeat_ms: milliseconds(1000, { min: 100, max: 60_000 }).describe(
      'How often a replica says that it lives. One that is silent for three times as long is taken for dead. At start.',
    ),
  })
  .prefault({})
  .describe('Several processes of this gateway behind one address.');

const servers = z
  .record(
    z.string().max(32).regex(serverNamePattern, 'letters, digits and single `-` or `_` between them'),
    serverSchema,
  )
  .default({})
  .superRefine((value, context) => {
    const pair = findLookalikes(Object.keys(value));
    if (!pair) return;
    const message = `'${pair[1]}' looks too much like '${pair[0]}': people and models would take one for the other`;
    context.addIssue({ code: 'custom', path: [pair[1]], message });
  })
  .describe('The tool servers, by the name that becomes the prefix of their tools.');

const globs = z.array(z.string().min(1));

const namespaces = z
  .record(
    z.string().max(32).regex(serverNamePattern, 'letters, digits and single `-` or `_` between them'),
    z.strictObject({
      servers: z.array(z.string()).optional().describe('Servers that are offered here; without it, all.'),
      allow: globs
        .default(['*'])
        .describe('Globs over the names of tools and prompts that are offered here.'),
      deny: globs.default([]).describe('Globs over those that are not, whatever else allows them.'),
    }),
  )
  .default({})
  .describe('Virtual servers: each is an endpoint `/mcp/<name>` that offers a part of what there is.');

function isBase(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.username + url.password + url.search + url.hash === '';
}

/** The section `mcp_gateway` of the configuration. */
export const mcpGatewaySection = z
  .strictObject({
    listen: listenSchema({ port: 4200, maxConnections: 25_000, maxRequestsInFlight: 25_000 }),
    public_url: z
      .url({ protocol: /^https?$/ })
      .refine(isBase, 'an address without user, query and fragment')
      .optional()
      .describe(
        'Address at which clients reach the gateway, such as `https://tools.example.com`: OAuth clients are told it. Without it, they are told `http` and the host that they asked; what a proxy says about itself in headers is not believed, because anybody can say it. At start.',
      ),
    allowed_origins: z
      .array(z.string().min(1))
      .default([])
      .describe(
        'Origins of web pages that may call the gateway, such as `https://app.example.com`. Pages served from loopback may always call a gateway that listens on loopback.',
      ),
    servers,
    namespaces,
    replicas,
    sessions,
    streams,
    health_check_ms: z
      .int()
      .min(0)
      .max(day)
      .default(30_000)
      .describe('How often servers over the network are asked whether they live; 0: never.'),
    server_drain_ms: milliseconds(60_000, { min: 0, max: day }).describe(
      'How long a server that is drained keeps its running calls.',
    ),
    list_page_size: count(1000, 100_000).describe('Items on one page of a list.'),
    list_timeout_ms: milliseconds(15_000, { min: 100, max: 600_000 }).describe(
      'A server that has not answered by then is left out of a list, and named as missing.',
    ),
    list_changed_debounce_ms: milliseconds(200, { min: 0, max: 60_000 }).describe(
      'Changes of lists are collected for this long before clients are told.',
    ),
    state_secret: secretString()
      .optional()
      .describe(
        'Seals what clients hold for the gateway, such as the state of a call that waits for them. All replicas need the same. Without it, one is made in `data_dir`.',
      ),
    input_timeout_ms: milliseconds(600_000, { min: 1000, max: day }).describe(
      'How long a server waits for a client to answer a question (sampling, elicitation, roots).',
    ),
  })
  .prefault({})
  .describe('The MCP gateway: one endpoint for many tool servers.');

export type McpGatewayConfig = z.output<typeof mcpGatewaySection>;
