import type { FastifyRequest } from 'fastify';
import { noEvents } from '../domain/collect-events.ts';
import { defaultOverlap, type KeptSchedule, neverMs, type Recurrence } from '../domain/schedule.ts';
import type { ScheduleDeps } from '../pipeline/run-schedules.ts';
import { setTrigger } from '../pipeline/schedule-triggers.ts';
import { readRecurrence, type WrittenRecurrence } from './read-recurrence.ts';
import { changeEntry } from './record-change.ts';

/** The schedule of a document, as far as it has one. @throws GatewayError as `readRecurrence`. */
export async function readScheduleOf(
  document: unknown,
  { clock, compileTrigger }: Pick<ScheduleDeps, 'clock' | 'compileTrigger'>,
): Promise<Recurrence | undefined> {
  const { schedule } = document as { schedule?: WrittenRecurrence }; // as the definition was checked
  return schedule && readRecurrence(schedule, { nowMs: clock.now(), pointer: '/schedule', compileTrigger });
}

/** What the schedule of a document is called. */
export const scheduleNameOf = ({ namespace, name }: Pick<KeptSchedule['workflow'], 'namespace' | 'name'>) =>
  `${namespace}.${name}`;

/**
 * The schedule that a document has comes into force with it, under the name of the workflow, in the name of who stored it. What it does
 * `every` so often it does whether or not the run before has ended (specification 1.0, "Schedule").
 */
export async function putScheduleOf(
  recurrence: Recurrence,
  {
    request,
    workflow,
    isNew,
  }: { request: FastifyRequest; workflow: KeptSchedule['workflow']; isNew: boolean },
  { schedules, clock, nextTime, outbox }: ScheduleDeps,
): Promise<void> {
  const { caller: by } = request;
  const name = scheduleNameOf(workflow);
  // Storing a version again mends what a death in between left out, and takes nothing over.
  if (!isNew && (await schedules.get(by.tenant, name)) !== undefined) return;
  const nowMs = clock.now();
  const kept = await schedules.put(
    {
      tenant: by.tenant,
      name,
      workflow,
      input: {},
      recurrence,
      overlap: recurrence.type === 'every' ? 'allow' : defaultOverlap(recurrence),
      catchUp: 'last',
      caller: { ...by, envelope: undefined },
      isPaused: false,
      nextAtMs: nextTime(recurrence, nowMs) ?? neverMs,
      lastRunId: undefined,
      collected: noEvents,
      createdAtMs: nowMs,
    },
    changeEntry(request, { action: 'schedule.put', id: name }),
  );
  await setTrigger(outbox, kept);
}
