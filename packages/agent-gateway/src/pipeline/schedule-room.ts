import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import type { Schedule } from '../domain/schedule.ts';
import type { ScheduleDeps } from './run-schedules.ts';

/** @throws GatewayError conflict (`too_many_schedules`) when the tenant has as many as it may, and this is not one of them. */
export async function requireRoom(
  { tenant, name }: Pick<Schedule, 'tenant' | 'name'>,
  { schedules, maxPerTenant }: Pick<ScheduleDeps, 'schedules' | 'maxPerTenant'>,
): Promise<void> {
  const most = maxPerTenant();
  if ((await schedules.count(tenant)) < most || (await schedules.get(tenant, name)) !== undefined) return;
  throw new GatewayError('conflict', `There are ${most} schedules; there may be no more.`, {
    reason: 'too_many_schedules',
  });
}
