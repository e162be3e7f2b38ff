/**
 * The tables of the journal. `user_version` counts the steps that a file has taken; a step is never changed once released.
 *
 * `runs` is a projection of `journal` that is written in the same transaction. `wake_at_ms` is when a run may be claimed: the end
 * of the lease while a worker holds it, the due time while it sleeps, null once it has ended. So "what is due" is one index.
 */
export const schemaSteps: readonly string[] = [
  `
  create table definitions (
    hash text primary key,
    document text not null,
    created_at_ms integer not null
  ) strict, without rowid;

  create table workflows (
    tenant text not null,
    namespace text not null,
    name text not null,
    version text not null,
    definition text not null references definitions (hash),
    created_at_ms integer not null,
    primary key (tenant, namespace, name, version)
  ) strict, without rowid;

  create table runs (
    id text primary key,
    tenant text not null,
    principal text not null,
    definition text not null references definitions (hash),
    namespace text not null,
    name text not null,
    version text not null,
    status text not null,
    position integer not null,
    epoch integer not null default 0,
    lease_owner text,
    wake_at_ms integer,
    idempotency_key text,
    request_digest text not null,
    trace_id text not null,
    created_at_ms integer not null,
    updated_at_ms integer not null,
    ended_at_ms integer,
    cost_nano_usd integer not null default 0,
    unpriced_calls integer not null default 0,
    input_tokens integer not null default 0,
    output_tokens integer not null default 0
  ) strict, without rowid;
  create unique index runs_by_key on runs (tenant, idempotency_key) where idempotency_key is not null;
  create index runs_by_tenant on runs (tenant, id);
  create index runs_due on runs (wake_at_ms) where wake_at_ms is not null;
  create index runs_leased on runs (lease_owner) where lease_owner is not null;

  create table journal (
    run_id text not null,
    seq integer not null,
    kind text not null,
    payload text not null,
    at_ms integer not null,
    epoch integer not null,
    primary key (run_id, seq)
  ) strict, without rowid;

  create table inbox (
    id integer primary key autoincrement,
    run_id text not null,
    kind text not null,
    payload text not null,
    asked_by text not null,
    at_ms integer not null
  ) strict;
  create index inbox_by_run on inbox (run_id);
  `,
  `
  create table events (
    id integer primary key autoincrement,
    tenant text not null,
    source text not null,
    event_id text not null,
    type text not null,
    payload text not null,
    published_by text not null,
    at_ms integer not null
  ) strict;
  create unique index events_once on events (tenant, source, event_id);
  create index events_by_type on events (tenant, type, at_ms);

  create table subscriptions (
    run_id text not null,
    tenant text not null,
    type text not null,
    primary key (run_id, type)
  ) strict, without rowid;
  create index subscriptions_by_type on subscriptions (tenant, type);
  `,
  `create index runs_ended on runs (ended_at_ms) where ended_at_ms is not null;`,
  // `slot`: null for a run without a queue, or that has left it; 'waiting' or 'held'.
  `
  alter table runs add column priority integer not null default 5;
  alter table runs add column queue text;
  alter table runs add column queue_limit integer;
  alter table runs add column queue_rank integer;
  alter table runs add column slot text;
  create index runs_due_fairly on runs (tenant, priority, wake_at_ms) where wake_at_ms is not null;
  create index runs_queued on runs (tenant, queue, queue_rank, id) where slot = 'waiting';

  create table queues (
    tenant text not null,
    name text not null,
    running integer not null default 0,
    waiting integer not null default 0,
    run_limit integer,
    is_paused integer not null default 0,
    primary key (tenant, name)
  ) strict, without rowid;
  `,
  `
  create table webhooks (
    id text primary key,
    tenant text not null,
    types text not null,
    plan text not null,
    is_paused integer not null,
    failures integer not null default 0,
    problem text,
    next_at_ms integer not null default 0,
    created_at_ms integer not null
  ) strict, without rowid;
  create index webhooks_by_tenant on webhooks (tenant, id);

  create table outbox (
    id integer primary key autoincrement,
    webhook text not null,
    run_id text not null,
    workflow text not null,
    event text not null,
    at_ms integer not null,
    tries integer not null default 0,
    next_at_ms integer not null default 0,
    died_at_ms integer,
    problem text
  ) strict;
  create index outbox_due on outbox (webhook, next_at_ms) where died_at_ms is null;
  create index outbox_order on outbox (webhook, run_id, id) where died_at_ms is null;
  create index outbox_dead on outbox (webhook, id) where died_at_ms is not null;
  create index outbox_age on outbox (at_ms);
  `,
  // `refs` of a blob: runs that name it, each once.
  `
  alter table journal add column refs text;
  alter table journal add column checksum integer;

  create table blobs (
    hash text not null unique,
    body text not null,
    refs integer not null
  ) strict;

  create table blob_refs (
    run_id text not null,
    hash text not null,
    primary key (run_id, hash)
  ) strict, without rowid;
  `,
  `alter table webhooks add column kind text not null default 'webhook';`,
  `alter table runs add column keep_ms integer;
  create index runs_kept on runs ((ended_at_ms + keep_ms)) where keep_ms is not null;
  create index runs_open on runs (tenant, created_at_ms) where ended_at_ms is null;
  create index events_by_age on events (at_ms);`,
  // `created_at_ms` of a definition: when it was last put.
  `create index runs_by_definition on runs (definition);
  create index workflows_by_definition on workflows (definition);`,
  // `root_run`: null for the run that the tree began with. `held_tasks`: its part of those that the tree may have open.
  `alter table runs add column root_run text;
  alter table runs add column held_tasks integer not null default 0;
  create index runs_of_tree on runs (root_run) where root_run is not null and ended_at_ms is null;`,
  'create index runs_of_queue on runs (tenant, queue, id) where queue is not null;',
  // `bytes` of its payload. What a tenant has too much of is found in the index alone.
  `alter table events add column bytes integer not null default 0;
  update events set bytes = length(cast(payload as blob));
  create index events_by_tenant on events (tenant, id, bytes);`,
  `drop index events_by_age;
  create index events_by_age on events (tenant, at_ms);`,
  `create index runs_by_principal on runs (tenant, principal, id);
  create index runs_by_workflow on runs (tenant, namespace, name, id);`,
];
