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
  /** Files and batches that lie at a provider, and whose they are. */
  provider_objects: {
    tenant: string;
    principal: string;
    kind: string;
    /** As the provider and the client know it. */
    id: string;
    provider: string;
    /** Id of the provider's credential whose account it lies in. */
    credential: string;
    created_at_ms: number;
    checked_at_ms: number;
    /** 0 while money is set aside for it. */
    is_settled: number;
    /** JSON of the object as the provider told it last. */
    object: string;
    /** JSON of what the gateway itself has to know of it. */
    facts: string;
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
    {
      name: '0002-provider-objects',
      statements: ({ text, json, integer, timeMs, tableOptions }) => [
        `create table provider_objects (
          tenant ${text} not null,
          principal ${text} not null,
          kind ${text} not null,
          id ${text} not null,
          provider ${text} not null,
          credential ${text} not null,
          created_at_ms ${timeMs} not null,
          checked_at_ms ${timeMs} not null,
          is_settled ${integer} not null,
          object ${json} not null,
          facts ${json} not null,
          primary key (tenant, principal, kind, id)
        ) ${tableOptions}`,
        'create index provider_objects_by_id on provider_objects (kind, id)',
        'create index provider_objects_to_settle on provider_objects (is_settled, checked_at_ms)',
      ],
    },
  ],
};
