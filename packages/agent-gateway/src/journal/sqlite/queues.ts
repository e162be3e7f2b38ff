import type { QueueChange } from '../../domain/queue.ts';
import { type CountedQueue, isIdle, isLetIn, queueOf, waitingOf } from '../queue-rows.ts';
import type { Statements } from './statements.ts';

interface Queue {
  readonly tenant: string;
  readonly name: string;
}

/** The run waits in the queue, or is let in at once. It holds no slot before. */
export function enterQueue(runId: string, queue: Queue & { atMs: number }, statements: Statements): void {
  const { tenant, name, atMs } = queue;
  const isNew = statements.run(`update runs set slot = 'waiting' where id = ? and slot is null`, runId);
  if (isNew === 0) return;
  statements.run('insert or ignore into queues (tenant, name) values (?, ?)', tenant, name);
  letIn({ tenant, name, atMs }, { waiting: 1 }, statements);
}

/** The run is over, or will not begin; the next one is let in. */
export function leaveQueue(runId: string, queue: Queue & { atMs: number }, statements: Statements): void {
  const slot = statements.get('select slot from runs where id = ?', runId)?.slot;
  if (slot === null || slot === undefined) return;
  statements.run('update runs set slot = null where id = ?', runId);
  letIn(queue, slot === 'held' ? { running: -1 } : { waiting: -1 }, statements);
}

export function changeQueue(
  { tenant, name, limit, isPaused, atMs }: Queue & QueueChange & { atMs: number },
  statements: Statements,
): void {
  statements.run('insert or ignore into queues (tenant, name) values (?, ?)', tenant, name);
  if (limit !== undefined)
    statements.run('update queues set run_limit = ? where tenant = ? and name = ?', limit, tenant, name);
  if (isPaused !== undefined) {
    const text = 'update queues set is_paused = ? where tenant = ? and name = ?';
    statements.run(text, Number(isPaused), tenant, name);
  }
  letIn({ tenant, name, atMs }, {}, statements);
}

function letIn(
  { tenant, name, atMs }: Queue & { atMs: number },
  { running = 0, waiting = 0 }: { running?: number; waiting?: number },
  statements: Statements,
): void {
  const row = statements.get('select * from queues where tenant = ? and name = ?', tenant, name);
  if (row === undefined) return;
  const before = queueOf(row);
  let queue: CountedQueue = {
    ...before,
    running: before.running + running,
    waiting: before.waiting + waiting,
  };
  for (let next = nextIn(queue, statements); next !== undefined; next = nextIn(queue, statements)) {
    if (!isLetIn(queue, next.limit)) break;
    statements.run(
      `update runs set slot = 'held', wake_at_ms = case when lease_owner is null then ? else wake_at_ms end where id = ?`,
      atMs,
      next.id,
    );
    queue = { ...queue, running: queue.running + 1, waiting: queue.waiting - 1 };
  }
  if (isIdle(queue)) statements.run('delete from queues where tenant = ? and name = ?', tenant, name);
  else
    statements.run(
      'update queues set running = ?, waiting = ? where tenant = ? and name = ?',
      queue.running,
      queue.waiting,
      tenant,
      name,
    );
}

function nextIn({ tenant, name, waiting, isPaused }: CountedQueue, statements: Statements) {
  if (waiting <= 0 || isPaused) return undefined;
  const row = statements.get(
    `select id, queue_limit from runs where tenant = ? and queue = ? and slot = 'waiting' order by queue_rank, id limit 1`,
    tenant,
    name,
  );
  return row && waitingOf(row);
}
