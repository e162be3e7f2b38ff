import type { KeptSchedule } from '../domain/schedule.ts';
import type { Outbox, Webhook } from '../domain/webhook.ts';

/** The place in the outbox where the events of a schedule come in. */
export function triggerOf(schedule: KeptSchedule): Webhook | undefined {
  const { tenant, name, recurrence, caller, createdAtMs } = schedule;
  if (recurrence.type !== 'event') return undefined;
  return {
    id: triggerId(tenant, name),
    tenant,
    owner: { tenant, principal: caller.principal, keyId: caller.keyId, workflows: ['*'] },
    url: '',
    description: '',
    types: recurrence.types,
    secrets: [],
    isPaused: false,
    createdAtMs,
    schedule: name,
  };
}

/** Has events come in for a schedule by events, and for no other. */
export async function setTrigger(outbox: Outbox, schedule: KeptSchedule): Promise<void> {
  const trigger = triggerOf(schedule);
  if (trigger === undefined) await removeTrigger(outbox, schedule);
  else await outbox.put(trigger);
}

export async function removeTrigger(
  outbox: Outbox,
  { tenant, name }: Pick<KeptSchedule, 'tenant' | 'name'>,
): Promise<void> {
  await outbox.delete(tenant, triggerId(tenant, name));
}

const triggerId = (tenant: string, name: string) => `trigger:${tenant}:${name}`;
