import type { QueueChange } from '../../domain/queue.ts';
import { type CountedQueue, isIdle, isLetIn, queueOf, waitingOf } from '../queue-rows.ts';
import type { Query } from './connection.ts';

interface Queue {
  readonly tenant: string;
  readonly name: string;
  readonly atMs: number;
}

/**
 * Each in a transaction. The row of the queue is locked before a run of it is let in, so that two that leave at the same moment let in
 * two others and never the same one. A run holds no slot before it enters.
 */
export async function enterQueue(runId: string, queue: Queue, query: Query): Promise<void> {
  const text = `update runs set slot = 'waiting' where id = $1 and slot is null returning 1`;
  const entered = await query('queue-wait', text, [runId]);
  if (entered.length > 0) await letIn(queue, { waiting: 1 }, query);
}

/** The run is over, or will not begin; the next one is let in. */
export async function leaveQueue(runId: string, queue: Queue, query: Query): Promise<void> {
  const text = `update runs set slot = null from (select id, slot from runs where id = $1 and slot is not null for update) before
    where runs.id = before.id returning before.slot`;
  const [left] = await query('queue-leave', text, [runId]);
  if (left !== undefined) await letIn(queue, left.slot === 'held' ? { running: -1 } : { waiting: -1 }, query);
}

export async function changeQueue(
  { limit, isPaused, ...queue }: Queue & QueueChange,
  query: Query,
): Promise<void> {
  const { tenant, name } = queue;
  await lock(queue, query);
  if (limit !== undefined) {
    const text = 'update queues set run_limit = $3 where tenant = $1 and name = $2';
    await query('queue-limit', text, [tenant, name, limit]);
  }
  if (isPaused !== undefined) {
    const text = 'update queues set is_paused = $3 where tenant = $1 and name = $2';
    await query('queue-pause', text, [tenant, name, isPaused]);
  }
  await letIn(queue, {}, query);
}

const lockText = `insert into queues (tenant, name) values ($1, $2)
  on conflict (tenant, name) do update set name = excluded.name returning *`;

async function lock({ tenant, name }: Queue, query: Query): Promise<CountedQueue> {
  const [row = {}] = await query('queue-lock', lockText, [tenant, name]);
  return queueOf(row);
}

async function letIn(
  of: Queue,
  { running = 0, waiting = 0 }: { running?: number; waiting?: number },
  query: Query,
): Promise<void> {
  const before = await lock(of, query);
  let queue: CountedQueue = {
    ...before,
    running: before.running + running,
    waiting: before.waiting + waiting,
  };
  for (let next = await nextIn(queue, query); next !== undefined; next = await nextIn(queue, query)) {
    if (!isLetIn(queue, next.limit)) break;
    await query('queue-let-in', letInText, [next.id, of.atMs]);
    queue = { ...queue, running: queue.running + 1, waiting: queue.waiting - 1 };
  }
  const id = [of.tenant, of.name];
  if (isIdle(queue)) await query('queue-drop', 'delete from queues where tenant = $1 and name = $2', id);
  else {
    const text = 'update queues set running = $3, waiting = $4 where tenant = $1 and name = $2';
    await query('queue-count', text, [...id, queue.running, queue.waiting]);
  }
}

const letInText = `update runs set slot = 'held', wake_at_ms = case when lease_owner is null then $2 else wake_at_ms end where id = $1`;

async function nextIn({ tenant, name, waiting, isPaused }: CountedQueue, query: Query) {
  if (waiting <= 0 || isPaused) return undefined;
  const text = `select id, queue_limit from runs where tenant = $1 and queue = $2 and slot = 'waiting'
    order by queue_rank, id limit 1`;
  const [row] = await query('queue-next', text, [tenant, name]);
  return row && waitingOf(row);
}
