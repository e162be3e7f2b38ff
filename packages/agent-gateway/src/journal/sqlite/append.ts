import type { Append } from '../../domain/append.ts';
import { insertRun } from './insert-run.ts';
import { publishEvent, putRequest, subscribeRun } from './mail.ts';
import { createOperation } from './operations.ts';
import { announce } from './outbox.ts';
import { enterQueue, leaveQueue } from './queues.ts';
import { insertRecord } from './records.ts';
import type { Statements } from './statements.ts';

/** The epoch is compared in the statement that moves the position: a worker that lost its run writes nothing (AG-2). */
export function appendRecords(append: Append, statements: Statements): boolean {
  const { claim, position, records, progress, atMs, consumed, isFinal } = append;
  const { status, costNanoUsd, unpricedCalls, inputTokens, outputTokens, heldTasks } = progress;
  const moved = statements.run(
    `update runs set position = ?, status = ?, cost_nano_usd = ?, unpriced_calls = ?, input_tokens = ?,
       output_tokens = ?, held_tasks = ?, updated_at_ms = ?, ended_at_ms = case when ? then coalesce(ended_at_ms, ?) end
     where id = ? and epoch = ? and position = ? and lease_owner is not null`,
    position + records.length,
    status,
    costNanoUsd,
    unpricedCalls,
    inputTokens,
    outputTokens,
    isFinal ? 0 : heldTasks,
    atMs,
    Number(isFinal),
    atMs,
    claim.runId,
    claim.epoch,
    position,
  );
  if (moved === 0) return append.isRepeat === true && wasWritten(append, statements);
  records.forEach((record, index) => {
    insertRecord({ ...claim, seq: position + index + 1 }, record, statements);
  });
  for (const id of consumed ?? []) statements.run('delete from inbox where id = ?', id);
  if (isFinal) {
    statements.run('update runs set lease_owner = null, wake_at_ms = null where id = ?', claim.runId);
    // What was asked of a run that goes on elsewhere goes there with it.
    if (status !== 'moved') statements.run('delete from inbox where run_id = ?', claim.runId);
    statements.run('delete from subscriptions where run_id = ?', claim.runId);
  }
  moveInQueue(append, statements);
  if (append.migrate !== undefined) {
    const { definition, version } = append.migrate;
    statements.run(
      'update runs set definition = ?, version = ? where id = ?',
      definition,
      version,
      claim.runId,
    );
  }
  sendOut(append, statements);
  return true;
}

function moveInQueue({ claim: { runId, tenant }, queue, atMs }: Append, statements: Statements): void {
  if (queue === undefined) return;
  const move = queue.step === 'leave' ? leaveQueue : enterQueue;
  move(runId, { tenant, name: queue.name, atMs }, statements);
}

function wasWritten({ claim, position, records }: Append, statements: Statements): boolean {
  const text = 'select 1 from runs where id = ? and epoch = ? and position = ?';
  const row = statements.get(text, claim.runId, claim.epoch, position + records.length);
  return row !== undefined;
}

/** What a run tells others goes out with the records that say so, or not at all (W11). */
function sendOut(
  { claim, spawn, tell, publish, announce: announced, subscribe, atMs }: Append,
  statements: Statements,
): void {
  if ((spawn ?? tell ?? publish ?? announced ?? subscribe) === undefined) return;
  const row = statements.get(
    'select tenant, namespace, name, created_at_ms from runs where id = ?',
    claim.runId,
  );
  const tenant = String(row?.tenant);
  if (announced !== undefined) {
    const workflow = `${row?.namespace}/${row?.name}`;
    announce({ kind: 'webhook', runId: claim.runId, tenant, workflow, events: announced, atMs }, statements);
  }
  const by = `run:${claim.runId}`;
  for (const run of spawn ?? []) insertRun(createOperation(run), statements);
  for (const { runId, kind, payload, by: teller } of tell ?? [])
    putRequest(
      {
        tenant,
        runId,
        kind,
        payload: JSON.stringify(payload),
        by: teller,
        atMs,
      },
      statements,
    );
  for (const event of publish ?? []) publishEvent({ tenant, event, by, atMs }, statements);
  for (const type of subscribe ?? [])
    subscribeRun({ runId: claim.runId, tenant, type, sinceMs: Number(row?.created_at_ms) }, statements);
}
