import type { MigrationSet } from '../stores/migrations.ts';

/** Answers that clients may go on from. Times are milliseconds since the epoch. */
export interface ConversationSchema {
  stored_responses: {
    tenant: string;
    principal: string;
    /** As the client knows it. */
    id: string;
    created_at_ms: number;
    expires_at_ms: number;
    /** JSON of the response. */
    response: string;
    /** JSON of all the items that led to it. */
    input: string;
  };
}

export const conversationMigrations: MigrationSet = {
  name: 'conversations',
  migrations: [
    {
      name: '0001-stored-responses',
      statements: ({ text, json, timeMs, tableOptions }) => [
        `create table stored_responses (
          tenant ${text} not null,
          principal ${text} not null,
          id ${text} not null,
          created_at_ms ${timeMs} not null,
          expires_at_ms ${timeMs} not null,
          response ${json} not null,
          input ${json} not null,
          primary key (tenant, principal, id)
        ) ${tableOptions}`,
        'create index stored_responses_by_expiry on stored_responses (expires_at_ms)',
      ],
    },
  ],
};
