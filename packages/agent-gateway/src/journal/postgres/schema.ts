/**
 * The same tables as in SQLite, in a schema of their own. A step is never changed once released.
 *
 * `asked` counts the requests in a run's inbox. It stands in the row of the run, because only what stands there is read afresh by
 * a release that had to wait for a request to be put in: a look into `inbox` would see it as it was before the wait.
 */
export const schemaSteps: readonly string[] = [
  `
  create table definitions (
    hash text primary key,
    document text not null,
    created_at_ms bigint not null
  );

  create table workflows (
    tenant text not null,
    namespace text not null,
    name text not null,
    version text not null,
    definition text not null,
    created_at_ms bigint not null,
    primary key (tenant, namespace, name, version)
  );

  create table runs (
    id text primary key,
    tenant text not null,
    principal text not null,
    definition text not null,
    namespace text not null,
    name text not null,
    version text not null,
    status text not null,
    position bigint not null,
    epoch bigint not null default 0,
    lease_owner text,
    wake_at_ms bigint,
    asked integer not null default 0,
    idempotency_key text,
    request_digest text not null,
    trace_id text not null,
    created_at_ms bigint not null,
    updated_at_ms bigint not null,
    ended_at_ms bigint,
    cost_nano_usd bigint not null default 0,
    unpriced_calls bigint not null default 0,
    input_tokens bigint not null default 0,
    output_tokens bigint not null default 0
  ) with (fillfactor = 70);
  create unique index runs_by_key on runs (tenant, idempotency_key) where idempotency_key is not null;
  create index runs_by_tenant on runs (tenant, id);
  create index runs_due on runs (wake_at_ms) where wake_at_ms is not null;
  create index runs_leased on runs (lease_owner) where lease_owner is not null;

  create table journal (
    run_id text not null,
    seq bigint not null,
    kind text not null,
    payload text not null,
    at_ms bigint not null,
    epoch bigint not null,
    primary key (run_id, seq)
  );

  create table inbox (
    id bigint generated always as identity primary key,
    run_id text not null,
    kind text not null,
    payload text not null,
    asked_by text not null,
    at_ms bigint not null
  );
  create index inbox_by_run on inbox (run_id, id);

  create table events (
    id bigint generated always as identity primary key,
    tenant text not null,
    source text not null,
    event_id text not null,
    type text not null,
    payload text not null,
    published_by text not null,
    at_ms bigint not null
  );
  create unique index events_once on events (tenant, source, event_id);
  create index events_by_type on events (tenant, type, at_ms);

  create table subscriptions (
    run_id text not null,
    tenant text not null,
    type text not null,
    primary key (run_id, type)
  );
  create index subscriptions_by_type on subscriptions (tenant, type);
  `,
  'create index runs_ended on runs (ended_at_ms) where ended_at_ms is not null',
  `
  alter table runs add column priority integer not null default 5, add column queue text, add column queue_limit integer,
    add column queue_rank bigint, add column slot text;
  create index runs_due_fairly on runs (tenant, priority, wake_at_ms) where wake_at_ms is not null;
  create index runs_queued on runs (tenant, queue, queue_rank, id) where slot = 'waiting';

  create table queues (
    tenant text not null,
    name text not null,
    running integer not null default 0,
    waiting integer not null default 0,
    run_limit integer,
    is_paused boolean not null default false,
    primary key (tenant, name)
  );
  `,
  `
  create table webhooks (
    id text primary key,
    tenant text not null,
    types text[] not null,
    plan text not null,
    is_paused boolean not null,
    failures integer not null default 0,
    problem text,
    next_at_ms bigint not null default 0,
    created_at_ms bigint not null
  );
  create index webhooks_by_tenant on webhooks (tenant, id);

  create table outbox (
    id bigint generated always as identity primary key,
    webhook text not null,
    run_id text not null,
    workflow text not null,
    event text not null,
    at_ms bigint not null,
    tries integer not null default 0,
    next_at_ms bigint not null default 0,
    died_at_ms bigint,
    problem text
  );
  create index outbox_due on outbox (webhook, next_at_ms) where died_at_ms is null;
  create index outbox_order on outbox (webhook, run_id, id) where died_at_ms is null;
  create index outbox_dead on outbox (webhook, id) where died_at_ms is not null;
  create index outbox_age on outbox (at_ms);
  `,
  // `refs` of a blob: runs that name it, each once.
  `
  alter table journal add column refs text, add column checksum bigint;

  create table blobs (
    hash text primary key,
    body text not null,
    refs integer not null
  );

  create table blob_refs (
    run_id text not null,
    hash text not null,
    primary key (run_id, hash)
  );
  `,
  `alter table webhooks add column kind text not null default 'webhook'`,
  `alter table runs add column keep_ms bigint;
  create index runs_kept on runs ((ended_at_ms + keep_ms)) where keep_ms is not null;
  create index runs_open on runs (tenant, created_at_ms) where ended_at_ms is null;
  create index events_by_age on events (at_ms);`,
  // `created_at_ms` of a definition: when it was last put.
  `create index runs_by_definition on runs (definition);
  create index workflows_by_definition on workflows (definition);`,
  // `root_run`: null for the run that the tree began with. `held_tasks`: its part of those that the tree may have open.
  `alter table runs add column root_run text;
  alter table runs add column held_tasks bigint not null default 0;
  create index runs_of_tree on runs (root_run) where root_run is not null and ended_at_ms is null;`,
  'create index runs_of_queue on runs (tenant, queue, id) where queue is not null',
  // `bytes` of its payload. What a tenant has too much of is found in the index alone.
  `alter table events add column bytes bigint not null default 0;
  update events set bytes = octet_length(payload);
  create index events_by_tenant on events (tenant, id, bytes)`,
  `drop index events_by_age;
  create index events_by_age on events (tenant, at_ms)`,
  `create index runs_by_principal on runs (tenant, principal, id);
  create index runs_by_workflow on runs (tenant, namespace, name, id)`,
];

export const schemaName = 'strata_agent';
