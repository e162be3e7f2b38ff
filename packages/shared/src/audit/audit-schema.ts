import type { MigrationSet } from '../stores/migrations.ts';

/** Rows as they are stored. Times are milliseconds since the epoch, hashes and seals lowercase hexadecimal. */
export interface AuditSchema {
  /** The end of each tenant's chain. Whoever appends holds this row. */
  audit_heads: {
    tenant: string;
    /** Of the last entry; 0 before the first. */
    seq: number;
    hash: string;
    /** As an entry's, of `seq` and `hash`. */
    seal: string;
  };
  audit_entries: {
    tenant: string;
    /** 1, 2, 3 … without gaps. */
    seq: number;
    id: string;
    /** The columns up to `record` repeat what the record says, so that entries can be found. */
    at_ms: number;
    category: string;
    action: string;
    outcome: string;
    principal: string | null;
    key_id: string | null;
    target: string | null;
    run_id: string | null;
    trace_id: string | null;
    /** Canonical JSON of an `AuditRecord`. */
    record: string;
    /** SHA-256 of `record`. */
    hash: string;
    /** HMAC-SHA-256 of `hash` under the tenant's seal key. */
    seal: string;
  };
  /** What records hold as keyed hashes only. A row can go without breaking the chain. */
  audit_sensitive: {
    /** Of the entry. */
    id: string;
    /** Canonical JSON: name → value. */
    named_values: string;
  };
  audit_checkpoints: {
    tenant: string;
    seq: number;
    at_ms: number;
    /** Compact JWS (RFC 7515). */
    token: string;
  };
}

/** What most entries have. It is in no index: whoever looks for it finds it everywhere. */
export const usualValues = { category: 'tool_call', action: 'tool.call', outcome: 'succeeded' } as const;

/** What is found by the column comes in the order of the chain. */
function indexOf(column: string, entries: string): string {
  return `create index audit_entries_by_${column} on audit_entries (tenant, ${column}, seq) where ${entries}`;
}

export const auditMigrations: MigrationSet = {
  name: 'audit',
  migrations: [
    {
      name: '0001-audit-log',
      statements: ({ text, json, integer, timeMs, tableOptions, appendOnly }) => [
        `create table audit_heads (
          tenant ${text} primary key,
          seq ${integer} not null,
          hash ${text} not null,
          seal ${text} not null
        ) ${tableOptions}`,
        `create table audit_entries (
          tenant ${text} not null,
          seq ${integer} not null,
          id ${text} not null unique,
          at_ms ${timeMs} not null,
          category ${text} not null,
          action ${text} not null,
          outcome ${text} not null,
          principal ${text},
          key_id ${text},
          target ${text},
          run_id ${text},
          trace_id ${text},
          record ${text} not null,
          hash ${text} not null,
          seal ${text} not null,
          primary key (tenant, seq)
        ) ${tableOptions}`,
        'create index audit_entries_by_time on audit_entries (tenant, at_ms)',
        `create table audit_sensitive (
          id ${text} primary key,
          named_values ${json} not null
        ) ${tableOptions}`,
        `create table audit_checkpoints (
          tenant ${text} not null,
          seq ${integer} not null,
          at_ms ${timeMs} not null,
          token ${text} not null,
          primary key (tenant, seq)
        ) ${tableOptions}`,
        ...appendOnly('audit_entries'),
        ...appendOnly('audit_checkpoints'),
      ],
    },
    {
      name: '0002-indexes-of-filters',
      statements: () => [
        'drop index audit_entries_by_time',
        'create index audit_entries_by_time on audit_entries (tenant, at_ms, seq)',
        ...['principal', 'key_id', 'target', 'run_id', 'trace_id'].map(column =>
          indexOf(column, `${column} is not null`),
        ),
        ...Object.entries(usualValues).map(([column, usual]) => indexOf(column, `${column} <> '${usual}'`)),
      ],
    },
  ],
};
