import type { Scheduled } from '@strata/shared/clock.ts';
import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { newTraceContext } from '@strata/shared/http/trace-context.ts';
import type { Caller } from '@strata/shared/identity/caller.ts';
import { canonicalJson, digestOf } from '@strata/shared/json/canonical-json.ts';
import type { Logger } from '@strata/shared/telemetry/logger.ts';
import { firstGroup, type WaitingEvent, withEvent, withoutGroup } from '../domain/collect-events.ts';
import type { Expressions } from '../domain/expressions.ts';
import { findWorkflow } from '../domain/find-workflow.ts';
import type { CloudEvent } from '../domain/run-events.ts';
import { terminalStatuses } from '../domain/run-state.ts';
import {
  duePlan,
  type EventTrigger,
  type KeptSchedule,
  type NextTime,
  type Schedules,
} from '../domain/schedule.ts';
import type { Delivery, DeliveryOutcome, Outbox, Webhook } from '../domain/webhook.ts';
import type { Workflow } from '../domain/workflow.ts';
import { type SubmitDeps, submitRun } from './submit-run.ts';

export interface ScheduleDeps extends SubmitDeps {
  readonly schedules: Schedules;
  /** Schedules that one tenant may have. */
  readonly maxPerTenant: () => number;
  readonly nextTime: NextTime;
  readonly outbox: Outbox;
  readonly expressions: Pick<Expressions, 'evaluate'>;
  readonly compileTrigger: (strategy: unknown, pointer: string) => Promise<EventTrigger>;
  readonly loadDefinition: (hash: string, document: string) => Workflow;
  readonly onAsked: (runId: string) => void;
  /** Whether who made a schedule may still act. */
  readonly isUsable: (caller: Caller) => Promise<boolean>;
  readonly log: Logger;
}

const lookEveryMs = 1000;
const batch = 50;

/**
 * Starts what is due. Every process looks; a due time is one run all the same, because its idempotency key is made of the schedule and the
 * time. The run is on disk before the schedule moves on, so a process that dies in between loses none.
 */
export function startSchedules(deps: ScheduleDeps): { stop(): Promise<void> } {
  let timer: Scheduled | undefined;
  let looking: Promise<void> = Promise.resolve();
  let isStopped = false;
  const again = () => {
    if (isStopped) return;
    timer = deps.clock.schedule(lookEveryMs, () => {
      looking = runDue(deps)
        .catch((error: unknown) => deps.log.warn({ err: error }, 'schedules could not be read and wait'))
        .finally(again);
    });
  };
  again();
  return {
    async stop() {
      isStopped = true;
      timer?.cancel();
      await looking;
    },
  };
}

/** One look at what is due now. */
export async function runDue(deps: ScheduleDeps): Promise<void> {
  const { schedules, clock, log } = deps;
  for (const schedule of await schedules.due(clock.now(), batch)) {
    const { tenant, name } = schedule;
    await runOne(schedule, deps).catch((error: unknown) =>
      log.warn(
        { err: error, tenant, schedule: name },
        'a scheduled run could not be started and is tried again',
      ),
    );
  }
}

async function runOne(schedule: KeptSchedule, deps: ScheduleDeps): Promise<void> {
  if (schedule.recurrence.type === 'after') return runAfter(schedule, schedule.recurrence.afterMs, deps);
  const { schedules, clock, nextTime } = deps;
  const { runAtMs, nextAtMs } = duePlan(schedule, clock.now(), nextTime);
  const verdict = runAtMs === undefined ? 'skip' : await overlapVerdict(schedule, deps);
  if (verdict === 'wait') return;
  if (verdict === 'skip' || runAtMs === undefined) {
    await schedules.change(schedule, { nextAtMs });
    return;
  }
  const lastRunId = await startOrPause(schedule, dueTime(schedule, runAtMs), deps);
  if (lastRunId !== undefined) await schedules.change(schedule, { nextAtMs, lastRunId });
}

/** So long after the run before has ended; the first at once. */
async function runAfter(schedule: KeptSchedule, afterMs: number, deps: ScheduleDeps): Promise<void> {
  const { schedules, journal, clock } = deps;
  const { tenant, lastRunId, nextAtMs } = schedule;
  const last = lastRunId === undefined ? undefined : await journal.getRun(tenant, lastRunId);
  const dueMs = last === undefined ? nextAtMs : (last.endedAtMs ?? Number.POSITIVE_INFINITY) + afterMs;
  if (dueMs > clock.now()) {
    const lookAtMs = last?.endedAtMs === undefined ? clock.now() + lookEveryMs : dueMs;
    await schedules.change(schedule, { nextAtMs: lookAtMs });
    return;
  }
  const started = await startOrPause(schedule, dueTime(schedule, dueMs), deps);
  if (started !== undefined)
    await schedules.change(schedule, { nextAtMs: clock.now() + lookEveryMs, lastRunId: started });
}

/**
 * What an event does to the schedule that it came in for. It is asked again after a failure: the run of one event is one run.
 * @throws what `startRun` throws, when another attempt may help.
 */
export async function runWithEvent(
  { tenant, schedule: name = '' }: Webhook,
  { id, event }: Delivery,
  deps: ScheduleDeps,
): Promise<DeliveryOutcome> {
  const schedule = await deps.schedules.get(tenant, name);
  if (schedule?.recurrence.type !== 'event' || schedule.isPaused) return { type: 'dropped' };
  const { conditions, correlations } = schedule.recurrence;
  if (correlations !== undefined) return collectEvent({ tenant, name }, { id, event }, deps);
  if (!(await letsThrough(conditions, event, deps))) return { type: 'dropped' };
  if ((await overlapVerdict(schedule, deps)) !== 'run') return { type: 'dropped' };
  const lastRunId = await startOrPause(schedule, { key: `event:${id}`, input: [event] }, deps);
  // A change that somebody made meanwhile stays; which run was the last is then known with the next.
  if (lastRunId !== undefined) await deps.schedules.change(schedule, { lastRunId });
  return { type: 'delivered' };
}

async function letsThrough(
  conditions: readonly string[],
  event: CloudEvent,
  { expressions }: ScheduleDeps,
): Promise<boolean> {
  for (const condition of conditions) {
    if ((await expressions.evaluate(condition, { data: event, variables: {} })) === true) return true;
  }
  return false;
}

const maxTries = 20;

/**
 * An event of a schedule that begins with several (`all`). It is written down before anything follows from it, and which events begin
 * a run together follows from what is written down alone: whoever dies in between, and whoever comes first, it is the same run.
 */
async function collectEvent(
  { tenant, name }: Pick<KeptSchedule, 'tenant' | 'name'>,
  { id: delivery, event }: Pick<Delivery, 'id' | 'event'>,
  deps: ScheduleDeps,
): Promise<DeliveryOutcome> {
  const { schedules } = deps;
  const id = String(delivery);
  for (let tries = 0; tries < maxTries; tries++) {
    const schedule = await schedules.get(tenant, name);
    if (schedule?.recurrence.type !== 'event' || schedule.isPaused) return { type: 'dropped' };
    const { collected, recurrence } = schedule;
    const isKnown = collected.used.includes(id) || collected.waiting.some(each => each.id === id);
    if (!isKnown) {
      const fits = await fitsOf(recurrence, event, deps);
      if (fits.length === 0) return { type: 'dropped' };
      await schedules.change(schedule, { collected: withEvent(collected, { id, event, fits }) });
      continue; // looked at as it stands then, whoever changed it
    }
    const group = firstGroup(collected.waiting, recurrence.conditions.length);
    if (group === undefined) return { type: 'delivered' };
    const mayRun = (await overlapVerdict(schedule, deps)) === 'run';
    const key = `events:${digestOf(canonicalJson(group.map(each => each.id)))}`;
    const input = group.map(each => each.event);
    const lastRunId = mayRun ? await startOrPause(schedule, { key, input }, deps) : undefined;
    if (mayRun && lastRunId === undefined) return { type: 'delivered' }; // paused, and what came waits
    await schedules.change(schedule, {
      collected: withoutGroup(collected, group),
      ...(lastRunId !== undefined && { lastRunId }),
    });
  }
  throw new GatewayError('overloaded', 'Too many events come for the schedule at once.', {
    reason: 'schedule_changed',
  });
}

/** The filters that let an event through, with the values that it shares with the events that belong to it. */
async function fitsOf(
  { conditions, correlations = [] }: EventTrigger,
  event: CloudEvent,
  { expressions }: ScheduleDeps,
): Promise<WaitingEvent['fits']> {
  const fits: { filter: number; keys: Record<string, unknown> }[] = [];
  for (const [filter, condition] of conditions.entries()) {
    const wanted = correlations[filter] ?? [];
    const keys = wanted.map(({ key, from }) => `${JSON.stringify(key)}: ${from}`).join(', ');
    const all = [
      condition,
      ...wanted.map(({ from, expect }) =>
        expect === undefined ? `(${from} != null)` : `(${from} == ${expect})`,
      ),
    ].join(' and ');
    const source = `if ${all} then {${keys}} else null end`;
    const found = await expressions.evaluate(source, { data: event, variables: {} });
    if (typeof found === 'object' && found !== null) fits.push({ filter, keys: { ...found } });
  }
  return fits;
}

/** What can never be started (its workflow or its right is gone) must not be tried every second for ever. */
async function startOrPause(
  schedule: KeptSchedule,
  occasion: Occasion,
  deps: ScheduleDeps,
): Promise<string | undefined> {
  try {
    return await startRun(schedule, occasion, deps);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.retryable) throw error;
    const { tenant, name } = schedule;
    deps.log.warn(
      { err: error, tenant, schedule: name },
      'a schedule was paused because its run cannot be started',
    );
    await deps.schedules.change(schedule, { isPaused: true });
    return undefined;
  }
}

async function overlapVerdict(
  { tenant, lastRunId, overlap }: KeptSchedule,
  { journal, clock, onAsked }: ScheduleDeps,
): Promise<'run' | 'skip' | 'wait'> {
  if (lastRunId === undefined || overlap === 'allow') return 'run';
  const last = await journal.getRun(tenant, lastRunId);
  if (last === undefined || terminalStatuses.has(last.status)) return 'run';
  if (overlap === 'skip') return 'skip';
  if (overlap === 'queue') return 'wait';
  const request = {
    kind: 'cancel',
    payload: { detail: 'The next scheduled run is due.' },
    by: 'schedule',
  } as const;
  await journal.request(tenant, lastRunId, { ...request, atMs: clock.now() });
  onAsked(lastRunId);
  return 'run';
}

/** Why a run is started now, and with what. */
export interface Occasion {
  /** The same for the same occasion, however often it is come to. */
  readonly key: string;
  readonly input: unknown;
}

export const dueTime = ({ input }: KeptSchedule, atMs: number): Occasion => ({ key: String(atMs), input });

/** @throws GatewayError conflict (`schedule_owner_stopped`). */
export async function requireOwner(
  owner: Caller,
  { isUsable }: Pick<ScheduleDeps, 'isUsable'>,
): Promise<void> {
  if (await isUsable(owner)) return;
  throw new GatewayError(
    'conflict',
    'The key or the principal that made the schedule was stopped, so its runs could not act. PUT the schedule again under a key that is good.',
    { reason: 'schedule_owner_stopped' },
  );
}

/** Starts the run of one occasion; the same again when it was started before. @throws GatewayError not_found (`workflow_not_found`), conflict (`schedule_owner_stopped`). */
export async function startRun(
  schedule: KeptSchedule,
  { key, input }: Occasion,
  deps: ScheduleDeps,
): Promise<string> {
  const { tenant, name, workflow: id, caller, createdAtMs } = schedule;
  await requireOwner(caller, deps);
  const stored = await findWorkflow(deps.journal, tenant, id);
  const definition = stored && (await deps.journal.getDefinition(stored.definition));
  if (definition === undefined) {
    throw new GatewayError('not_found', `There is no workflow ${id.namespace}/${id.name}@${id.version}.`, {
      reason: 'workflow_not_found',
    });
  }
  const { hash, document } = definition;
  const { run } = await submitRun(
    {
      workflow: deps.loadDefinition(hash, document),
      document,
      input,
      // The moment it was made tells it from one of the same name that was deleted.
      idempotencyKey: `schedule:${name}:${createdAtMs}:${key}`,
      digest: digestOf(canonicalJson({ schedule: name, key })),
      caller,
      trace: newTraceContext(),
    },
    deps,
  );
  return run.id;
}
