import type { Claim, ReserveTasks } from '../../domain/append.ts';
import type { Connection } from './connection.ts';

/** Runs of a tree ask one after the other: two that look at the same moment would both find the last of what is left. */
const lockText = 'select pg_advisory_xact_lock(hashtextextended($1, 1))';

const heldText = 'select 1 from runs where id = $1 and epoch = $2 and lease_owner is not null for update';

const othersText = `select coalesce(sum(held_tasks), 0) as tasks from (
    select id, held_tasks from runs where id = $1 and ended_at_ms is null
    union all select id, held_tasks from runs where root_run = $1 and ended_at_ms is null
  ) tree where id <> $2`;

/** Gives how many tasks the run holds then; 0 when its tree has too few left; undefined when the claim is not the newest one. */
export function reserveTasks(
  { runId, epoch }: Claim,
  { rootRun, least, wanted, limit }: ReserveTasks,
  connection: Connection,
): Promise<number | undefined> {
  return connection.transaction(async query => {
    await query('lock-tree', lockText, [rootRun]);
    if ((await query('held-run', heldText, [runId, epoch])).length === 0) return undefined;
    const [others] = await query('tasks-of-tree', othersText, [rootRun, runId]);
    const total = Math.min(wanted, limit - Number(others?.tasks));
    if (total < least) return 0;
    await query('hold-tasks', 'update runs set held_tasks = $2 where id = $1', [runId, total]);
    return total;
  });
}
