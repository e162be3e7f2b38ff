import * as z from 'zod';
import { runStatuses } from '../../domain/run-state.ts';

/** What the routes answer with. A test compares these with what they really say. */

export const moment = z.iso.datetime();
export const nextCursor = {
  next_cursor: z.string().optional().describe('Where the list goes on; absent on its last page.'),
};
const nanoUsd = z
  .string()
  .regex(/^-?\d+$/)
  .describe('Integer nano-USD.');
const usage = z.object({ input_tokens: z.int(), output_tokens: z.int() });
const workflowName = { namespace: z.string(), name: z.string(), version: z.string() };

export const runError = z.object({
  type: z.string(),
  status: z.int(),
  title: z.string(),
  detail: z.string(),
  instance: z.string().describe('JSON pointer of the task.'),
  reason: z.string(),
  budget: z
    .object({
      subject: z.string().describe('Whose budget has not enough: `team:support`, `run:run_…`.'),
      needed_nano_usd: nanoUsd,
      available_nano_usd: nanoUsd,
      resets_at: moment.optional().describe('When it begins anew by itself.'),
    })
    .optional()
    .describe('Of a run that is paused because of a budget: raise it, and resume the run.'),
});

export const runSummary = z.object({
  id: z.string(),
  status: z.enum(runStatuses),
  workflow: z.object({ ...workflowName, definition: z.string().describe('SHA-256 of the definition.') }),
  principal: z.string(),
  created_at: moment,
  updated_at: moment,
  ended_at: moment.optional(),
  wake_at: moment.optional().describe('When a waiting run goes on.'),
  cost: z.object({ nano_usd: nanoUsd, unpriced_calls: z.int() }),
  usage,
  priority: z.int(),
  queue: z.object({ name: z.string(), waiting: z.boolean() }).optional(),
  trace_id: z.string(),
  events: z.int().describe('Records of its journal.'),
});

export const run = runSummary.extend({
  thread: z.string().optional(),
  input: z.unknown().optional(),
  output: z.unknown().optional(),
  error: runError.optional(),
  not_undone: z
    .array(z.object({ task: z.string(), error: runError }))
    .optional()
    .describe('Tasks whose compensation failed, the first hundred: what they did is still there.'),
  timings: z
    .object({
      started_at: moment.optional(),
      queued_ms: z.int().optional(),
      duration_ms: z.int().optional(),
    })
    .optional(),
  forked_from: z
    .object({
      run: z.string(),
      task: z.string(),
      events: z.int(),
      kept_cost: z.object({ nano_usd: nanoUsd }),
    })
    .optional(),
  problem: z.string().optional().describe('Why it cannot be shown whole.'),
  pause: z.object({ by: z.string(), at: moment, error: runError.optional() }).optional(),
  in_doubt: z
    .array(
      z.object({ task: z.string(), visit: z.int(), call: z.string(), arguments: z.unknown().optional() }),
    )
    .optional(),
});

const span = z.object({
  id: z.string(),
  parent: z.string().optional(),
  kind: z.string(),
  name: z.string(),
  status: z.string(),
  started_at: moment,
  ended_at: moment.optional(),
  duration_ms: z.number().optional(),
  attempts: z.int().optional(),
  cost_nano_usd: nanoUsd.optional(),
  usage: usage.optional(),
  error: z.string().optional().describe('The reason of its error.'),
  kept: z.boolean().optional(),
});

const cut = { cut: z.boolean().optional().describe('The run has more than is shown.') };
export const timeline = z.object({
  run: z.string(),
  status: z.enum(runStatuses),
  spans: z.array(span),
  ...cut,
});
export const tasks = z.object({ run: z.string(), tasks: z.array(span), ...cut });
export const cost = z.object({
  run: z.string(),
  nano_usd: nanoUsd,
  unpriced_calls: z.int(),
  usage,
  tasks: z.array(
    z.object({
      task: z.string(),
      calls: z.int(),
      nano_usd: nanoUsd,
      unpriced_calls: z.int(),
      usage,
    }),
  ),
  forked_from: z
    .object({
      run: z.string(),
      task: z.string(),
      kept_nano_usd: nanoUsd,
      spent_since_nano_usd: nanoUsd.optional(),
      difference_nano_usd: nanoUsd.optional(),
    })
    .optional(),
  ...cut,
});

export const migration = z.object({
  run: z.string(),
  from: z.string(),
  to: z.string(),
  definition: z.string(),
  possible: z.boolean(),
  divergence: z.looseObject({ task: z.string(), detail: z.string() }).optional(),
});

export const workflow = z.object({ ...workflowName, definition: z.string(), created_at: moment });

export const schedule = z.object({
  name: z.string(),
  workflow: z.object(workflowName),
  input: z.unknown(),
  cron: z.string().optional(),
  time_zone: z.string().optional(),
  every: z.object({ milliseconds: z.int() }).optional(),
  after: z.object({ milliseconds: z.int() }).optional(),
  on: z.unknown().optional().describe('The event filters that start it.'),
  overlap: z.enum(['skip', 'queue', 'cancel', 'allow']),
  catch_up: z.enum(['all', 'last', 'none']),
  paused: z.boolean(),
  next_at: moment.optional(),
  last_run: z.string().optional(),
  principal: z.string(),
});

export const queue = z.object({
  name: z.string(),
  paused: z.boolean(),
  running: z.int(),
  waiting: z.int(),
  limit: z.int().optional(),
  next_waits_since: moment.optional(),
});

export const approval = z.object({
  id: z.string(),
  status: z.enum(['pending', 'approved', 'rejected', 'expired', 'void']),
  title: z.string(),
  description: z.string().optional(),
  content: z.unknown().optional(),
  form: z.unknown().optional(),
  digest: z.string(),
  assignees: z.array(z.string()),
  run: z.string(),
  task: z.string(),
  workflow: z.string(),
  created_at: moment,
  deadline: moment,
  decision: z
    .object({
      decision: z.enum(['approved', 'rejected']),
      by: z.string(),
      at: moment,
      comment: z.string().nullable().optional(),
      data: z.unknown().optional(),
    })
    .optional(),
});

export const webhook = z.object({
  id: z.string(),
  url: z.string(),
  types: z.array(z.string()),
  description: z.string(),
  principal: z.string(),
  paused: z.boolean(),
  created_at: moment,
  waiting: z.int(),
  dead: z.int(),
  failures: z.int(),
  last_problem: z.string().optional(),
  next_at: moment.optional(),
});
export const webhookWithSecret = webhook.extend({ secret: z.string().describe('Shown this once.') });
export const deadLetter = z.object({
  id: z.string(),
  run: z.string(),
  event: z.looseObject({ id: z.string(), source: z.string(), type: z.string() }),
  attempts: z.int(),
  problem: z.string().optional(),
  at: moment,
});
