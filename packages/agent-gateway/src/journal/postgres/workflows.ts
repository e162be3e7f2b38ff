import type { StoredWorkflow, WorkflowId } from '../../domain/journal.ts';
import type { Query } from './connection.ts';

const oneText = 'tenant = $1 and namespace = $2 and name = $3 and version = $4';

export const workflowText = `select * from workflows where ${oneText}`;

/** Several that are stored at one moment may be one too many each. */
const putText = `insert into workflows select $1, $2, $3, $4, $5, $6::bigint
  where (select count(*) from workflows where tenant = $1) < $7::bigint on conflict do nothing returning 1`;

export async function putWorkflow(
  { tenant, workflow, most }: { tenant: string; workflow: StoredWorkflow; most: number },
  query: Query,
): Promise<'created' | 'unchanged' | 'conflict' | 'full'> {
  const { namespace, name, version, definition, createdAtMs } = workflow;
  const id = [tenant, namespace, name, version];
  const made = await query('put-workflow', putText, [...id, definition, createdAtMs, most]);
  if (made.length > 0) return 'created';
  const [row] = await query('get-workflow', workflowText, id);
  if (row === undefined) return 'full';
  return row.definition === definition ? 'unchanged' : 'conflict';
}

/** Runs are found by the definition, which few others have. */
const deleteText = `
  with used as (
    select 1 from runs where tenant = $1 and namespace = $2 and name = $3 and version = $4
      and definition = (select definition from workflows where ${oneText}) limit 1
  ), gone as (
    delete from workflows where ${oneText} and not exists (select 1 from used) returning 1
  )
  select exists (select 1 from used) as used, exists (select 1 from gone) as gone`;

export async function deleteWorkflow(
  tenant: string,
  { namespace, name, version }: WorkflowId,
  query: Query,
): Promise<boolean | 'used'> {
  const [row] = await query('delete-workflow', deleteText, [tenant, namespace, name, version]);
  return row?.used === true ? 'used' : row?.gone === true;
}
