import type { Operation } from './operations.ts';
import type { Statements } from './statements.ts';

const oneText = 'tenant = ? and namespace = ? and name = ? and version = ?';

export function putWorkflow(
  { tenant, workflow, most }: Extract<Operation, { type: 'put-workflow' }>,
  statements: Statements,
): 'created' | 'unchanged' | 'conflict' | 'full' {
  const { namespace, name, version, definition, createdAtMs } = workflow;
  const id = [tenant, namespace, name, version] as const;
  const known = statements.get(`select definition from workflows where ${oneText}`, ...id);
  if (known !== undefined) return known.definition === definition ? 'unchanged' : 'conflict';
  const stored = statements.get('select count(*) as n from workflows where tenant = ?', tenant);
  if (Number(stored?.n) >= most) return 'full';
  statements.run('insert into workflows values (?, ?, ?, ?, ?, ?)', ...id, definition, createdAtMs);
  return 'created';
}

/** Runs are found by the definition, which few others have. */
const usedText = `select 1 from runs where tenant = ? and namespace = ? and name = ? and version = ?
  and definition = (select definition from workflows where ${oneText}) limit 1`;

export function deleteWorkflow(
  { tenant, id: { namespace, name, version } }: Extract<Operation, { type: 'delete-workflow' }>,
  statements: Statements,
): boolean | 'used' {
  const id = [tenant, namespace, name, version] as const;
  if (statements.get(usedText, ...id, ...id) !== undefined) return 'used';
  return statements.run(`delete from workflows where ${oneText}`, ...id) > 0;
}
