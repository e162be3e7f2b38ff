import { listenSchema } from '@strata/shared/config/listen.ts';
import { milliseconds } from '@strata/shared/config/milliseconds.ts';
import { secretString } from '@strata/shared/config/secret-string.ts';
import { parseUsd } from '@strata/shared/money/nano-usd.ts';
import * as z from 'zod';

const mebibyte = 1024 * 1024;
const count = (value: number, max = 1_000_000) => z.int().min(1).max(max).default(value);
const neighbour = (url: string) => z.url({ protocol: /^https?$/ }).default(url);

const usd = z
  .string()
  .refine(text => parseUsd(text) !== undefined, "expected an amount in quotes, such as '2.50'");

const limits = z
  .strictObject({
    steps: count(20_000).describe('Tasks that one run may begin, every visit counted.'),
    visits: count(1000).describe('Times that the same task may begin in one walk through its list.'),
    fan_out: count(1000, 10_000).describe('Lists that one task may walk at a time.'),
    live_tasks: count(10_000).describe(
      'Tasks that a run and all runs that come of it may have open at a time, counted together.',
    ),
    messages: count(10_000).describe(
      'Signals and events that one run may be sent, and types of events that it may listen to.',
    ),
    repeats: count(10).describe(
      'Times in a row that a task may begin with an input it has met before, without a wait between: a loop that makes no progress.',
    ),
    run_ms: milliseconds(86_400_000).describe('How long a run may take, its waits included.'),
    cost_usd: usd
      .optional()
      .describe(
        'USD that one run may spend on models and tools, as a decimal number in quotes. It is reserved from the budgets of whoever starts the run, at its first call. Without it a run spends from those budgets directly.',
      ),
    value_bytes: count(mebibyte, 64 * mebibyte).describe('Size of one recorded value as JSON.'),
    journal_bytes: count(64 * mebibyte, 1024 * mebibyte).describe('Size of everything that one run records.'),
  })
  .prefault({})
  .describe(
    'Limits of a run, fixed when it is created. A definition may lower them. A run that meets one is paused, and can be resumed with more.',
  );

const engine = z
  .strictObject({
    active_runs: count(1000, 100_000).describe('Runs that this process works on at a time. At start.'),
    lease_ms: milliseconds(15_000).describe(
      'How long a run stays with a process that has fallen silent. At start.',
    ),
    heartbeat_ms: milliseconds(5000).describe('How often a process says that it lives. At start.'),
    stop_ms: milliseconds(10_000).describe('Time for calls under way when the process stops. At start.'),
    call_attempts: count(4, 100).describe('Attempts at a call that may be repeated.'),
    first_retry_ms: milliseconds(500).describe('Wait before the second attempt; it doubles after each.'),
    max_retry_ms: milliseconds(30_000).describe('Longest wait between two attempts.'),
  })
  .prefault({})
  .describe('How runs are worked on.');

const expressions = z
  .strictObject({
    threads: count(2, 64).describe('Threads that evaluate jq. At start.'),
    timeout_ms: milliseconds(100).describe('CPU time of one evaluation. At start.'),
    memory_bytes: count(64 * mebibyte, 2048 * mebibyte).describe('Memory of one evaluation. At start.'),
    output_bytes: count(mebibyte, 64 * mebibyte).describe('Size of what one evaluation gives. At start.'),
    queue: count(2000).describe('Evaluations that may wait for a thread. At start.'),
  })
  .prefault({})
  .describe('Limits of expressions.');

const httpCalls = z
  .strictObject({
    allowed_hosts: z
      .array(z.string().min(1))
      .default(['*'])
      .describe('Hosts that `call: http` may reach, as globs over `host` or `host:port`.'),
    private_hosts: z
      .array(z.string().min(1))
      .default([])
      .describe('Those of them that may be on private or loopback addresses. None unless named.'),
    timeout_ms: milliseconds(60_000).describe('Longest silence of the host that was called.'),
  })
  .prefault({})
  .describe('What `call: http` may reach.');

const secrets = z
  .record(
    z.string().regex(/^[A-Za-z_]\w{0,99}$/, 'expected letters, digits and underscores'),
    z.strictObject({
      value: z
        .union([secretString(), z.record(z.string(), secretString())])
        .describe(
          'The secret, or several by name: `username` and `password`, or what `oauth2` and `oidc` take (`authority`, `grant`, `client_id`, `client_secret`, `scopes`).',
        ),
      hosts: z
        .array(z.string().min(1))
        .describe('Hosts that it, or a token that it is exchanged for, may be sent to, as globs.'),
      workflows: z
        .array(z.string().min(1))
        .describe('Workflows that may use it, as globs over `namespace/name`.'),
      organisations: z
        .array(z.string().min(1))
        .default(['default'])
        .describe('Organisations whose workflows these are, as globs.'),
    }),
  )
  .default({})
  .describe('What workflows show to other systems: named in their `use.secrets`, never seen by them.');

const webhooks = z
  .strictObject({
    allowed_hosts: z
      .array(z.string().min(1))
      .default(['*'])
      .describe('Hosts that webhooks may be on, as globs over `host` or `host:port`.'),
    private_hosts: z
      .array(z.string().min(1))
      .default([])
      .describe('Those of them that may be on private or loopback addresses. None unless named.'),
    timeout_ms: milliseconds(10_000).describe('Time for a receiver to answer.'),
    attempts: count(40, 1000).describe(
      'Attempts at one event before it is put aside. The wait between them doubles from 5 seconds to an hour.',
    ),
    keep_ms: milliseconds(7 * 86_400_000).describe('How long an event that did not arrive is kept.'),
    concurrency: count(32, 1000).describe('Deliveries that this process makes at a time.'),
    per_tenant: count(50, 10_000).describe('Webhooks that one tenant may have.'),
    events_per_webhook: count(100_000, 10_000_000).describe(
      'Events that wait for one webhook, or for one schedule that events begin, or are put aside, together. Of more the oldest go.',
    ),
  })
  .prefault({})
  .describe('Who is told what runs do.');

const stored = z
  .strictObject({
    definition_bytes: count(mebibyte, mebibyte).describe('Size of one definition as JSON.'),
    workflows_per_tenant: count(10_000).describe('Versions of workflows that one tenant may have stored.'),
    events_per_tenant: count(100_000, 10_000_000).describe(
      'Published events that are kept for one tenant, for runs that listen later. Of more the oldest go.',
    ),
    event_bytes_per_tenant: count(256 * mebibyte, 64 * 1024 * mebibyte).describe(
      'Size of them together. Of more the oldest go.',
    ),
    items_per_tenant: count(10_000).describe('Items of `/v1/store` that one tenant may have.'),
    item_bytes_per_tenant: count(256 * mebibyte, 64 * 1024 * mebibyte).describe('Size of them together.'),
    threads_per_tenant: count(10_000).describe('Threads that one tenant may have.'),
    artifacts_per_tenant: count(10_000).describe('Artifacts that one tenant may have.'),
    artifact_bytes_per_tenant: count(1024 * mebibyte, 1024 * 1024 * mebibyte).describe(
      'Size of them together.',
    ),
    schedules_per_tenant: count(1000, 100_000).describe('Schedules that one tenant may have.'),
  })
  .prefault({})
  .describe('How much may be stored that does not go away with its run.');

/** The section `agent_gateway` of the configuration. */
export const agentGatewaySection = z
  .strictObject({
    listen: listenSchema({ port: 4300 }),
    role: z
      .enum(['all', 'http', 'worker'])
      .default('all')
      .describe(
        'What this process does: answer requests, work on runs, or both. With a PostgreSQL journal each is scaled by itself. At start.',
      ),
    ai_gateway: neighbour('http://127.0.0.1:4100').describe('Address of ai-gateway.'),
    mcp_gateway: neighbour('http://127.0.0.1:4200/mcp').describe(
      'Address of the MCP endpoint of mcp-gateway.',
    ),
    model_timeout_ms: milliseconds(300_000).describe('Time for a model to answer.'),
    tool_timeout_ms: milliseconds(300_000).describe('Time for a tool to answer.'),
    journal: z
      .strictObject({
        path: z
          .string()
          .min(1)
          .optional()
          .describe(
            'File of the journal. Without it: the database of `store.url` if that is PostgreSQL, else `journal.sqlite` in `data_dir`. At start.',
          ),
        keep_ended_ms: z
          .int()
          .min(1)
          .optional()
          .describe(
            'How long a run stays after its end, with all that it recorded and its approvals, and a published event. Without it: for ever.',
          ),
        pool_size: count(6, 100).describe('PostgreSQL connections for the journal. At start.'),
      })
      .prefault({})
      .describe('Where runs are recorded.'),
    agent_prices_usd: z
      .record(z.string().min(1), usd)
      .default({})
      .describe(
        'What each use of an agent costs, USD, beside its models and tools, by globs over `namespace/name`; the first that matches counts. Set aside in the budgets of whoever runs it, and booked in the usage ledger.',
      ),
    limits,
    engine,
    expressions,
    http_calls: httpCalls,
    secrets,
    webhooks,
    stored,
    max_export_bytes: count(128 * mebibyte, 1024 * mebibyte).describe(
      'Largest export of a run that is made to be moved, and taken in. At start.',
    ),
    max_wait_ms: milliseconds(60_000).describe('Longest `wait` of a submission.'),
  })
  .prefault({})
  .describe('Durable workflows and agents.');

export type AgentGatewayConfig = z.output<typeof agentGatewaySection>;
