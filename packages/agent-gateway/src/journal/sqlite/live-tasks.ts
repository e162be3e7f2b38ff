import type { Operation } from './operations.ts';
import type { Statements } from './statements.ts';

/** Gives how many tasks the run holds then; 0 when its tree has too few left; undefined when the claim is not the newest one. */
export function reserveTasks(
  { claim: { runId, epoch }, wanted: of }: Extract<Operation, { type: 'reserve-tasks' }>,
  statements: Statements,
): number | undefined {
  const { rootRun, least, wanted, limit } = of;
  const held = statements.get(
    'select 1 from runs where id = ? and epoch = ? and lease_owner is not null',
    runId,
    epoch,
  );
  if (held === undefined) return undefined;
  const others = statements.get(
    `select coalesce(sum(held_tasks), 0) as tasks from (
       select id, held_tasks from runs where id = ?1 and ended_at_ms is null
       union all select id, held_tasks from runs where root_run = ?1 and ended_at_ms is null
     ) where id <> ?2`,
    rootRun,
    runId,
  );
  const total = Math.min(wanted, limit - Number(others?.tasks));
  if (total < least) return 0;
  statements.run('update runs set held_tasks = ? where id = ?', total, runId);
  return total;
}
