import type { MigrationSet } from '../stores/migrations.ts';

export interface AdminSchema {
  /** Answers to requests with an `Idempotency-Key`, for a day. */
  admin_requests: {
    /** Digest of caller and key. */
    id: string;
    /** Digest of route, path and body. */
    digest: string;
    /** `begun`, `changed` (the change is committed, its answer not stored yet), `answered`. */
    state: string;
    /** Of whoever began it: another may take over what was begun and left. */
    token: string;
    at_ms: number;
    /** Sealed: the answer may hold a new key. */
    answer: string | null;
  };
}

export const adminMigrations: MigrationSet = {
  name: 'admin',
  migrations: [
    {
      name: '0001-requests',
      statements: ({ text, timeMs, tableOptions }) => [
        `create table admin_requests (
          id ${text} primary key,
          digest ${text} not null,
          state ${text} not null,
          token ${text} not null,
          at_ms ${timeMs} not null,
          answer ${text}
        ) ${tableOptions}`,
        'create index admin_requests_by_time on admin_requests (at_ms)',
      ],
    },
  ],
};
