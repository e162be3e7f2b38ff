import type { Clock } from '@strata/shared/clock.ts';
import type { RunRequest } from '../../domain/append.ts';
import type { Journal } from '../../domain/journal.ts';
import { queueText, toQueueSummary } from '../queue-rows.ts';
import { joinRecord } from '../record-rows.ts';
import { type Row, toSummary, toWorkflow } from '../rows.ts';
import { runListStatement } from '../run-list.ts';
import { appendBatch } from './append-batch.ts';
import { removeRuns } from './blobs.ts';
import { claimRuns, serverNow, toClaim } from './claims.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { createDefinitionRows } from './definitions.ts';
import { GroupCommit } from './group-commit.ts';
import { Hints } from './hints.ts';
import { insertRun, isManifold } from './insert-run.ts';
import { reserveTasks } from './live-tasks.ts';
import { createOldEvents } from './old-events.ts';
import { createPostgresOutbox } from './outbox.ts';
import { publishEvent, putRequest } from './outgoing.ts';
import { changeQueue } from './queues.ts';
import { deleteWorkflow, putWorkflow, workflowText } from './workflows.ts';

export interface PostgresJournalOptions extends ConnectionOptions {
  readonly clock: Clock;
  /** Leases are measured by the server's clock, which all workers share. Tests bring their own time. */
  readonly usesServerTime: boolean;
}

/**
 * The journal for many processes. Claims skip rows that others are taking; leases are counted by the server's clock; every append
 * carries the epoch of its claim. Distribution itself, who is first and what is durable, is PostgreSQL's.
 */
export async function openPostgresJournal(options: PostgresJournalOptions): Promise<Journal> {
  const connection = new Connection(options);
  const { query } = connection;
  await connection.migrate();
  const appendListeners = new Set<(runId: string) => void>();
  const dueListeners = new Set<(runId: string | undefined) => void>();
  const tell = (runId: string) => {
    for (const listener of appendListeners) listener(runId);
  };
  const hints = new Hints({
    connection,
    options,
    clock: options.clock,
    listeners: {
      onAppend: tell,
      onDue: runId => {
        for (const listener of dueListeners) listener(runId);
      },
    },
  });
  await hints.listen();
  const commits = new GroupCommit(batch => appendBatch(batch, connection));
  const nowOf = (nowMs: number) => (options.usesServerTime ? null : nowMs);
  const definitions = createDefinitionRows(query);

  return {
    outbox: createPostgresOutbox(connection),
    putDefinition: (definition, atMs) => definitions.put(definition, atMs),
    getDefinition: hash => definitions.get(hash),
    putWorkflow: (tenant, workflow, { most }) => putWorkflow({ tenant, workflow, most }, query),
    deleteWorkflow: (tenant, id) => deleteWorkflow(tenant, id, query),
    async getWorkflow(tenant, { namespace, name, version }) {
      const [row] = await query('get-workflow', workflowText, [tenant, namespace, name, version]);
      return row && toWorkflow(row);
    },
    async listWorkflows(tenant, { after, limit }) {
      const [namespace = '', name = '', version = ''] = after?.split('\n') ?? [];
      const text = `select * from workflows where tenant = $1 and (namespace, name, version) > ($2, $3, $4)
        order by namespace, name, version limit $5`;
      return (await query('list-workflows', text, [tenant, namespace, name, version, limit])).map(toWorkflow);
    },

    async createRun(run, lease) {
      await definitions.isPut(run.definition);
      const held = run.queue === undefined && lease ? { ...lease, nowMs: nowOf(lease.nowMs) } : undefined;
      const row = !isManifold(run)
        ? await insertRun(run, query, held)
        : await connection.transaction(inside => insertRun(run, inside, held));
      if (row === undefined) throw new Error(`Run ${run.id} was written and is not there`);
      const isNew = row.id === run.id;
      const claim = held !== undefined && row.is_made === true ? toClaim(row) : undefined;
      if (isNew) tell(run.id);
      if (isNew && claim === undefined) hints.tellDue();
      return { isNew, run: toSummary(row), claim };
    },
    async importRuns(runs, asked) {
      const [first] = runs;
      if (first === undefined) throw new Error('Nothing to import');
      const row = await connection.transaction(async inside => {
        const made = await insertRun(first, inside);
        if (made?.id !== first.id) return made;
        for (const run of runs.slice(1)) await insertRun(run, inside);
        for (const told of asked) await putRequest(first.tenant, { ...told, atMs: first.atMs }, inside);
        return made;
      });
      if (row === undefined) throw new Error(`Run ${first.id} was written and is not there`);
      hints.tellDue();
      return { isNew: row.id === first.id, run: toSummary(row) };
    },
    async getRun(tenant, runId) {
      const [row] = await query('get-run', runText, [runId, tenant]);
      return row && toSummary(row);
    },
    async listRuns(filter) {
      const { name, text, values } = runListStatement(filter, position => `$${position}`);
      return (await query(name, text, values)).map(toSummary);
    },
    async read(runId, afterSeq, limit) {
      return (await query('read', readText, [runId, afterSeq, limit])).map(joinRecord);
    },

    claim: options => claimRuns({ ...options, nowMs: nowOf(options.nowMs) }, connection),
    async renew({ owner, runIds, nowMs, leaseMs }) {
      const text = `update runs set wake_at_ms = coalesce($3::bigint, ${serverNow}) + $4::bigint
        where lease_owner = $1 and id = any ($2::text[]) returning id, asked`;
      const rows = await query('renew', text, [owner, runIds, nowOf(nowMs), leaseMs]);
      const asked = rows.filter(row => Number(row.asked) > 0);
      return { held: rows.map(row => String(row.id)), asked: asked.map(row => String(row.id)) };
    },
    async append(append) {
      const isWritten = await commits.append(append);
      if (isWritten && append.records.length > 0) {
        tell(append.claim.runId);
        hints.tellAppended(append.claim.runId);
        for (const told of append.tell ?? []) hints.tellAsked(told.runId);
        if ((append.publish ?? append.spawn ?? append.queue) !== undefined) hints.tellDue();
      }
      return isWritten;
    },
    reserveTasks: (claim, wanted) => reserveTasks(claim, wanted, connection),
    async release({ runId, epoch }, options) {
      const { wakeAtMs, queuedUntilMs = wakeAtMs, isParked = false, status, nowMs } = options;
      const text = `update runs set lease_owner = null, status = $3, updated_at_ms = $4,
          wake_at_ms = case when asked > 0 and not $7 then 0 when slot = 'waiting' then $6::bigint else $5::bigint end
        where id = $1 and epoch = $2 and lease_owner is not null returning 1`;
      const wake = [Math.ceil(wakeAtMs), Math.ceil(queuedUntilMs), isParked];
      return (await query('release', text, [runId, epoch, status, nowMs, ...wake])).length > 0;
    },
    async nextWakeAt(owner) {
      const text = `select wake_at_ms from runs where wake_at_ms is not null and lease_owner is distinct from $1
        order by wake_at_ms limit 1`;
      const [row] = await query('next-wake', text, [owner]);
      return row && Number(row.wake_at_ms);
    },

    async request(tenant, runId, request) {
      const isTaken = await putRequest(tenant, { ...request, runId }, query);
      if (isTaken) hints.tellAsked(runId);
      return isTaken;
    },
    async countMessages(runId) {
      const text = `select (select count(*) from inbox where run_id = $1 and kind in ('signal', 'event'))
        + (select count(*) from journal where run_id = $1 and kind = 'event-received') as n`;
      const [row] = await query('count-messages', text, [runId]);
      return Number(row?.n);
    },
    async requests(runId) {
      const rows = await query('requests', 'select * from inbox where run_id = $1 order by id', [runId]);
      return rows.map(toRequest);
    },
    async publish(tenant, event, published) {
      await connection.transaction(inside => publishEvent(tenant, event, published, inside));
      hints.tellDue();
    },

    ...createOldEvents(query),
    removeDefinitions: options => definitions.remove(options),
    removeEnded: ({ beforeMs, limit, isOwn }) =>
      connection.transaction(async inside => {
        const text = isOwn ? overText : oldText;
        const rows = await inside(isOwn ? 'over-runs' : 'old-runs', text, [beforeMs, limit]);
        const ids = rows.map(({ id }) => String(id));
        if (ids.length > 0) await removeRuns(ids, inside);
        return ids.length;
      }),

    async listQueues(tenant, { after, limit }) {
      const text = `${queueText} where tenant = $1 and name > $2 order by name limit $3`;
      return (await query('list-queues', text, [tenant, after ?? '', limit])).map(toQueueSummary);
    },
    async getQueue(tenant, name) {
      const text = `${queueText} where tenant = $1 and name = $2`;
      const [row] = await query('get-queue', text, [tenant, name]);
      return row && toQueueSummary(row);
    },
    async changeQueue(tenant, name, change) {
      await connection.transaction(inside => changeQueue({ tenant, name, ...change }, inside));
      hints.tellDue();
    },

    onAppend(listener) {
      appendListeners.add(listener);
      return () => appendListeners.delete(listener);
    },
    onDue(listener) {
      dueListeners.add(listener);
      return () => dueListeners.delete(listener);
    },
    async ping() {
      await query('ping', 'select 1', []);
    },
    async close() {
      appendListeners.clear();
      dueListeners.clear();
      await hints.close();
      await connection.close();
    },
  };
}

const runText = 'select * from runs where id = $1 and tenant = $2';

/** One that was asked to go on is due, and stays; so does one that another process is removing. */
const overText = `select id from runs where keep_ms is not null and ended_at_ms + keep_ms < $1 and wake_at_ms is null
  order by ended_at_ms limit $2 for update skip locked`;

const oldText = `select id from runs where ended_at_ms < $1 and wake_at_ms is null
  order by ended_at_ms limit $2 for update skip locked`;

const readText = `
  select seq, payload, at_ms, refs, checksum, case when refs is not null then (
    select json_object_agg(hash, body)::text from blobs
    where hash in (select value from json_each_text(journal.refs::json -> 'fields'))
  ) end as bodies
  from journal where run_id = $1 and seq > $2 order by seq limit $3`;

function toRequest(row: Row): RunRequest {
  return {
    id: Number(row.id),
    kind: row.kind as RunRequest['kind'], // written by `request`
    payload: JSON.parse(String(row.payload)) as unknown,
    by: String(row.asked_by),
  };
}
