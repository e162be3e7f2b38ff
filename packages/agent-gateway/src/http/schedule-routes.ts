import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { requireWorkflowScope } from '../domain/authority.ts';
import { noEvents } from '../domain/collect-events.ts';
import { defaultOverlap, type KeptSchedule, neverMs, timesBetween } from '../domain/schedule.ts';
import { dueTime, requireOwner, type ScheduleDeps, startRun } from '../pipeline/run-schedules.ts';
import { requireRoom } from '../pipeline/schedule-room.ts';
import { removeTrigger, setTrigger } from '../pipeline/schedule-triggers.ts';
import type { ApiDeps } from './api-deps.ts';
import { maySee } from './find-run.ts';
import { checkFields, readFields } from './read-body.ts';
import { readRecurrence, writeRecurrence } from './read-recurrence.ts';
import { changeEntry } from './record-change.ts';
import { readReference, workflowReference } from './submission.ts';

const caller = { config: { access: 'caller' } } as const;
const maxBackfill = 100;

type RouteDeps = ScheduleDeps & Pick<ApiDeps, 'recordChange'>;

interface WithName {
  Params: { name: string };
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export const scheduleBody = z
  .strictObject({
    workflow: workflowReference,
    input: z.unknown().optional(),
    cron: z.string().min(1).max(200).optional(),
    time_zone: z.string().min(1).max(100).default('UTC'),
    every: z.unknown().optional(),
    after: z.unknown().optional(),
    on: z.unknown().optional(),
    /** `skip` when left out; with events, each of which is meant, `allow`. */
    overlap: z.enum(['skip', 'queue', 'cancel', 'allow']).optional(),
    catch_up: z.enum(['all', 'last', 'none']).default('last'),
    paused: z.boolean().default(false),
  })
  .refine(
    ({ cron, every, after, on }) => [cron, every, after, on].filter(each => each !== undefined).length === 1,
    { message: 'expected one of `cron`, `every`, `after` and `on`' },
  )
  .refine(({ on, overlap }) => on === undefined || overlap !== 'queue', {
    path: ['overlap'],
    message: 'events wait for one another with a concurrency key of the workflow',
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
    const workflow = readReference(body.workflow);
    requireWorkflowScope(request.caller, workflow);
    const nowMs = clock.now();
    const recurrence = await readRecurrence(body, {
      nowMs,
      pointer: '',
      compileTrigger: deps.compileTrigger,
    });
    const existing = await schedules.get(request.caller.tenant, name);
    if (existing !== undefined && !maySee(request.caller, existing.workflow)) throw notFound();
    await requireRoom({ tenant: request.caller.tenant, name }, deps);
    const kept = await schedules.put(
      {
        tenant: request.caller.tenant,
        name,
        workflow,
        input: body.input ?? {},
        recurrence,
        overlap: body.overlap ?? defaultOverlap(recurrence),
        catchUp: body.catch_up,
        caller: { ...request.caller, envelope: undefined },
        isPaused: body.paused,
        nextAtMs: deps.nextTime(recurrence, nowMs) ?? neverMs,
        lastRunId: existing?.lastRunId,
        collected: noEvents,
        createdAtMs: nowMs,
      },
      entryOf(request, name, 'put'),
    );
    await setTrigger(deps.outbox, kept);
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
    await removeTrigger(deps.outbox, { tenant: request.caller.tenant, name });
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

const verbs: Readonly<
  Record<string, (request: FastifyRequest, schedule: KeptSchedule, deps: RouteDeps) => Promise<unknown>>
> = {
  async pause(request, schedule, deps) {
    return show(await change(request, { schedule, verb: 'pause', to: () => ({ isPaused: true }) }, deps));
  },
  /** What paused it may have paused the place where its events come in too. */
  async resume(request, schedule, deps) {
    await requireOwner(schedule.caller, deps);
    const to = ({ recurrence }: KeptSchedule) => ({
      isPaused: false,
      nextAtMs: deps.nextTime(recurrence, deps.clock.now()) ?? neverMs,
    });
    const changed = await change(request, { schedule, verb: 'resume', to }, deps);
    await setTrigger(deps.outbox, changed);
    return show(changed);
  },
  /** Now, whatever its times and its overlap say. */
  async trigger(request, schedule, deps) {
    const run = await startRun(schedule, dueTime(schedule, deps.clock.now()), deps);
    await deps.recordChange(request, { action: 'schedule.trigger', id: schedule.name, runId: run });
    return { runs: [run] };
  },
  /** The due times of a span in the past; those that ran are not run again. */
  async backfill(request, schedule, deps) {
    const { from, until } = readFields(request, backfillBody);
    if (schedule.recurrence.type !== 'cron' && schedule.recurrence.type !== 'every') {
      throw new GatewayError('conflict', 'Only a schedule by the clock has times in the past.', {
        reason: 'schedule_without_times',
      });
    }
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
    for (const atMs of times) runs.push(await startRun(schedule, dueTime(schedule, atMs), deps));
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

const maxAttempts = 10;

interface Change {
  readonly schedule: KeptSchedule;
  readonly verb: 'pause' | 'resume';
  readonly to: (schedule: KeptSchedule) => Pick<KeptSchedule, 'isPaused'> & { readonly nextAtMs?: number };
}

/** Again when it was changed meanwhile: one that is often due changes with each of its runs. */
async function change(
  request: FastifyRequest,
  { schedule, verb, to }: Change,
  deps: ScheduleDeps,
): Promise<KeptSchedule> {
  const entry = entryOf(request, schedule.name, verb);
  let current = schedule;
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const what = to(current);
    if (await deps.schedules.change(current, what, entry)) return { ...current, ...what };
    current = await find(request, schedule.name, deps);
  }
  throw new GatewayError('conflict', 'The schedule was changed meanwhile. Try again.', {
    reason: 'schedule_changed',
  });
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
    ...writeRecurrence(recurrence),
    overlap,
    catch_up: catchUp,
    paused: isPaused,
    next_at: isPaused || nextAtMs >= neverMs ? undefined : new Date(nextAtMs).toISOString(),
    last_run: lastRunId,
    principal: by.principal,
  };
}
