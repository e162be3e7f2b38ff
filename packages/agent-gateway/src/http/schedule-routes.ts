import type { AuditEvent } from '@strata/shared/audit/audit-record.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import { type KeptSchedule, neverMs, type Recurrence, timesBetween } from '../domain/schedule.ts';
import { parseDuration } from '../dsl/duration.ts';
import { cronProblem } from '../dsl/next-time.ts';
import { type ScheduleDeps, startRun } from '../pipeline/run-schedules.ts';
import type { ApiDeps } from './api-deps.ts';
import { maySee } from './find-run.ts';
import { checkFields, readFields } from './read-body.ts';
import { changeEntry } from './record-change.ts';

const caller = { config: { access: 'caller' } } as const;
const minEveryMs = 1000;
const maxBackfill = 100;

type RouteDeps = ScheduleDeps & Pick<ApiDeps, 'recordChange'>;

interface WithName {
  Params: { name: string };
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export const scheduleBody = z
  .strictObject({
    workflow: z.strictObject({ namespace: z.string(), name: z.string(), version: z.string() }),
    input: z.unknown().optional(),
    cron: z.string().min(1).max(200).optional(),
    time_zone: z.string().min(1).max(100).default('UTC'),
    every: z.unknown().optional(),
    overlap: z.enum(['skip', 'queue', 'cancel', 'allow']).default('skip'),
    catch_up: z.enum(['all', 'last', 'none']).default('last'),
    paused: z.boolean().default(false),
  })
  .refine(body => (body.cron === undefined) !== (body.every === undefined), {
    message: 'expected either `cron` or `every`',
  });

export const scheduleListQuery = z.strictObject({
  cursor: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

export const backfillBody = z.strictObject({ from: z.iso.datetime(), until: z.iso.datetime() });

/** `/v1/schedules`: runs that begin by the clock, with `:pause`, `:resume`, `:trigger` and `:backfill`. */
export function addScheduleRoutes(app: FastifyInstance, deps: RouteDeps): void {
  const { schedules, clock } = deps;

  app.put<WithName>('/v1/schedules/:name', caller, async (request, reply) => {
    const { name } = request.params;
    if (!namePattern.test(name)) {
      throw new GatewayError(
        'invalid_request',
        'A name has letters, digits, dots, hyphens and underscores, at most 100.',
        {
          reason: 'request_invalid',
          param: 'name',
        },
      );
    }
    const body = readFields(request, scheduleBody);
    requireWorkflowScope(request.caller, body.workflow);
    const nowMs = clock.now();
    const recurrence = readRecurrence(body, nowMs);
    const existing = await schedules.get(request.caller.tenant, name);
    if (existing !== undefined && !maySee(request.caller, existing.workflow)) throw notFound();
    const kept = await schedules.put(
      {
        tenant: request.caller.tenant,
        name,
        workflow: body.workflow,
        input: body.input ?? {},
        recurrence,
        overlap: body.overlap,
        catchUp: body.catch_up,
        caller: { ...request.caller, envelope: undefined },
        isPaused: body.paused,
        nextAtMs: deps.nextTime(recurrence, nowMs) ?? neverMs,
        lastRunId: existing?.lastRunId,
        createdAtMs: nowMs,
      },
      entryOf(request, name, 'put'),
    );
    return reply.code(existing === undefined ? 201 : 200).send(show(kept));
  });

  app.get('/v1/schedules', caller, async request => {
    const { cursor, limit } = checkFields(request.query, scheduleListQuery);
    const page = await schedules.list({ tenant: request.caller.tenant, after: cursor, limit });
    const next = page.length === limit ? page.at(-1)?.name : undefined;
    const shown = page.filter(each => maySee(request.caller, each.workflow)).map(show);
    return { schedules: shown, ...(next !== undefined && { next_cursor: next }) };
  });

  app.get<WithName>('/v1/schedules/:name', caller, async request =>
    show(await find(request, request.params.name, deps)),
  );

  app.delete<WithName>('/v1/schedules/:name', caller, async (request, reply) => {
    const { name } = await find(request, request.params.name, deps);
    await schedules.delete(request.caller.tenant, name, entryOf(request, name, 'delete'));
    return reply.code(204).send();
  });

  app.post<WithName>('/v1/schedules/:name', caller, async request => {
    const [name = '', verb = ''] = request.params.name.split(':');
    const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (act === undefined) {
      const known = Object.keys(verbs).join(', ');
      throw new GatewayError('not_found', `The verbs of a schedule are ${known}.`, {
        reason: 'unknown_route',
      });
    }
    return act(request, await find(request, name, deps), deps);
  });
}

/** The schedule that a document has comes into force with it, under the name of the workflow, in the name of who stored it. */
export async function putScheduleOf(
  document: unknown,
  {
    request,
    workflow,
    isNew,
  }: { request: FastifyRequest; workflow: KeptSchedule['workflow']; isNew: boolean },
  { schedules, clock, nextTime }: ScheduleDeps,
): Promise<void> {
  const { caller: by } = request;
  const { schedule } = document as { schedule?: { cron?: string; every?: unknown } }; // as the definition was checked
  if (schedule === undefined) return;
  const name = `${workflow.namespace}.${workflow.name}`;
  // Storing a version again mends what a death in between left out, and takes nothing over.
  if (!isNew && (await schedules.get(by.tenant, name)) !== undefined) return;
  const nowMs = clock.now();
  const recurrence = readRecurrence({ ...schedule, time_zone: 'UTC' }, nowMs);
  await schedules.put(
    {
      tenant: by.tenant,
      name,
      workflow,
      input: {},
      recurrence,
      overlap: 'skip',
      catchUp: 'last',
      caller: { ...by, envelope: undefined },
      isPaused: false,
      nextAtMs: nextTime(recurrence, nowMs) ?? neverMs,
      lastRunId: undefined,
      createdAtMs: nowMs,
    },
    entryOf(request, name, 'put'),
  );
}

const verbs: Readonly<
  Record<string, (request: FastifyRequest, schedule: KeptSchedule, deps: RouteDeps) => Promise<unknown>>
> = {
  pause: (request, schedule, deps) =>
    change(schedule, { isPaused: true }, entryOf(request, schedule.name, 'pause'), deps),
  resume: (request, schedule, deps) =>
    change(
      schedule,
      { isPaused: false, nextAtMs: deps.nextTime(schedule.recurrence, deps.clock.now()) ?? neverMs },
      entryOf(request, schedule.name, 'resume'),
      deps,
    ),
  /** Now, whatever its times and its overlap say. */
  async trigger(request, schedule, deps) {
    const run = await startRun(schedule, deps.clock.now(), deps);
    await deps.recordChange(request, { action: 'schedule.trigger', id: schedule.name, runId: run });
    return { runs: [run] };
  },
  /** The due times of a span in the past; those that ran are not run again. */
  async backfill(request, schedule, deps) {
    const { from, until } = readFields(request, backfillBody);
    const span = {
      fromMs: Date.parse(from),
      untilMs: Math.min(Date.parse(until), deps.clock.now()),
      limit: maxBackfill + 1,
    };
    const times = timesBetween(schedule.recurrence, span, deps.nextTime);
    if (times.length > maxBackfill) {
      throw new GatewayError(
        'too_large',
        `The span has more than ${maxBackfill} due times. Take a shorter one.`,
        {
          reason: 'backfill_too_large',
          param: 'until',
        },
      );
    }
    const runs: string[] = [];
    for (const atMs of times) runs.push(await startRun(schedule, atMs, deps));
    await deps.recordChange(request, {
      action: 'schedule.backfill',
      id: schedule.name,
      details: { from, until, runs: runs.length },
    });
    return { runs };
  },
};

const entryOf = (request: FastifyRequest, name: string, verb: 'put' | 'delete' | 'pause' | 'resume') =>
  changeEntry(request, { action: `schedule.${verb}`, id: name });

async function change(
  schedule: KeptSchedule,
  what: Parameters<ScheduleDeps['schedules']['change']>[1],
  entry: AuditEvent,
  { schedules }: ScheduleDeps,
) {
  if (!(await schedules.change(schedule, what, entry))) {
    throw new GatewayError('conflict', 'The schedule was changed meanwhile. Try again.', {
      reason: 'schedule_changed',
    });
  }
  return show({ ...schedule, ...what });
}

/** What a caller may not see is answered like what is not there (S-2). */
async function find(
  request: FastifyRequest,
  name: string,
  { schedules }: ScheduleDeps,
): Promise<KeptSchedule> {
  const schedule = await schedules.get(request.caller.tenant, name);
  if (schedule === undefined || !maySee(request.caller, schedule.workflow)) throw notFound();
  return schedule;
}

function notFound(): GatewayError {
  return new GatewayError('not_found', 'There is no such schedule.', { reason: 'schedule_not_found' });
}

function readRecurrence(
  { cron, time_zone, every }: { cron?: string | undefined; time_zone: string; every?: unknown },
  nowMs: number,
): Recurrence {
  if (cron !== undefined) {
    const problem = cronProblem(cron, time_zone);
    if (problem === undefined) return { type: 'cron', expression: cron, timeZone: time_zone };
    throw new GatewayError('invalid_request', `cron: ${problem}`, {
      reason: 'request_invalid',
      param: '/cron',
    });
  }
  const parsed = parseDuration(every);
  if ('ms' in parsed && parsed.ms >= minEveryMs) return { type: 'every', everyMs: parsed.ms, fromMs: nowMs };
  const problem = 'problem' in parsed ? parsed.problem : `An interval is at least ${minEveryMs} ms.`;
  throw new GatewayError('invalid_request', `every: ${problem}`, {
    reason: 'request_invalid',
    param: '/every',
  });
}

function show({
  name,
  workflow,
  input,
  recurrence,
  overlap,
  catchUp,
  isPaused,
  nextAtMs,
  lastRunId,
  caller: by,
}: KeptSchedule) {
  return {
    name,
    workflow,
    input,
    ...(recurrence.type === 'cron'
      ? { cron: recurrence.expression, time_zone: recurrence.timeZone }
      : { every: { milliseconds: recurrence.everyMs } }),
    overlap,
    catch_up: catchUp,
    paused: isPaused,
    next_at: isPaused || nextAtMs >= neverMs ? undefined : new Date(nextAtMs).toISOString(),
    last_run: lastRunId,
    principal: by.principal,
  };
}
