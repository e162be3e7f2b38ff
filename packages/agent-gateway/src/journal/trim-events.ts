import type { HeldEvents, TrimEvents } from '../domain/journal.ts';
import type { Row } from './rows.ts';

/** Of a tenant: what each look at its events takes is bounded, whatever other tenants keep. */
export const nextPublisherText = (after: string) =>
  `select tenant from events where tenant > ${after} order by tenant limit 1`;

/** Takes the tenant, an event that is newer than those wanted, and how many. */
export const newestText = (tenant: string, before: string, limit: string) =>
  `select id, bytes from events where tenant = ${tenant} and id < ${before} order by id desc limit ${limit}`;

/** The same as one row: most looks find nothing that has to go. */
export const newestSumText = (tenant: string, before: string, limit: string) =>
  `select min(id) as id, count(*) as count, coalesce(sum(bytes), 0) as bytes from (${newestText(tenant, before, limit)}) as newest`;

/** Takes the tenant, the newest event that goes, and how many go at a time. */
export const removeOldestText = (tenant: string, newest: string, limit: string) => `
  delete from events where id in (
    select id from events where tenant = ${tenant} and id <= ${newest} order by id limit ${limit}
  )`;

/** Takes the tenant, a time, and how many go at a time. */
export const removeOldText = (tenant: string, before: string, limit: string) => `
  delete from events where id in (
    select id from events where tenant = ${tenant} and at_ms < (
      select case when min(created_at_ms) < ${before} then min(created_at_ms) else ${before} end
      from runs where tenant = ${tenant} and ended_at_ms is null
    ) order by at_ms limit ${limit}
  )`;

export const nothingHeld: HeldEvents = { id: Number.MAX_SAFE_INTEGER, count: 0, bytes: 0 };

type Room = Pick<TrimEvents, 'held' | 'most' | 'mostBytes'>;

/** With all that were looked at; undefined when some of them are too much. */
export function holdAll(
  { id, count, bytes }: Row = {},
  { held = nothingHeld, most, mostBytes }: Room,
): HeldEvents | undefined {
  const all = {
    id: Number(id ?? held.id),
    count: held.count + Number(count),
    bytes: held.bytes + Number(bytes),
  };
  return all.count > most || all.bytes > mostBytes ? undefined : all;
}

/** With those of them that may stay, and the first that may not. */
export function holdSome(
  rows: readonly Row[],
  { held = nothingHeld, most, mostBytes }: Room,
): { readonly held: HeldEvents; readonly tooMuch: number | undefined } {
  let { id, count, bytes } = held;
  for (const row of rows) {
    if (count + 1 > most || bytes + Number(row.bytes) > mostBytes)
      return { held: { id, count, bytes }, tooMuch: Number(row.id) };
    id = Number(row.id);
    count++;
    bytes += Number(row.bytes);
  }
  return { held: { id, count, bytes }, tooMuch: undefined };
}
