import type { QueueSummary } from '../domain/queue.ts';
import type { Row } from './rows.ts';

/** A row of `queues`: how many runs are in progress and wait, counted in the transactions that make it so. */
export interface CountedQueue {
  readonly tenant: string;
  readonly name: string;
  readonly running: number;
  readonly waiting: number;
  readonly limit: number | undefined;
  readonly isPaused: boolean;
}

export function queueOf(row: Row): CountedQueue {
  return {
    tenant: String(row.tenant),
    name: String(row.name),
    running: Number(row.running),
    waiting: Number(row.waiting),
    limit: row.run_limit === null ? undefined : Number(row.run_limit),
    isPaused: Boolean(Number(row.is_paused)),
  };
}

export const waitingOf = (row: Row) => ({ id: String(row.id), limit: Number(row.queue_limit) });

/** Whether there is room for a run that brings this limit. */
export function isLetIn({ isPaused, running, limit }: CountedQueue, ownLimit: number): boolean {
  return !isPaused && running < (limit ?? ownLimit);
}

/** Nothing is known of it that has to be kept. Keys come and go with the data that they are made of. */
export function isIdle({ running, waiting, limit, isPaused }: CountedQueue): boolean {
  return running <= 0 && waiting <= 0 && limit === undefined && !isPaused;
}

/** With when the one that is let in next came. */
export const queueText = `
  select queues.*, (
    select created_at_ms from runs
    where runs.tenant = queues.tenant and runs.queue = queues.name and runs.slot = 'waiting'
    order by queue_rank, id limit 1
  ) as next_ms from queues`;

export function toQueueSummary(row: Row): QueueSummary {
  const { name, limit, isPaused, running, waiting } = queueOf(row);
  const nextCameAtMs = row.next_ms === null ? undefined : Number(row.next_ms);
  return { name, limit, isPaused, running, waiting, nextCameAtMs };
}
