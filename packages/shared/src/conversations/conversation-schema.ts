import type { Transaction } from 'kysely';
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
  /** Answers that are being made in the background. Whoever removes the row writes how its response ended. */
  background_runs: {
    tenant: string;
    principal: string;
    /** Of the response. */
    id: string;
    /** The process that makes it. */
    holder: string;
    /** From then on the holder counts as dead. */
    lease_until_ms: number;
    /** Of the next event; 0 for an answer whose events nobody asked for. */
    next_sequence: number;
  };
  /** Events of answers in the background, as many to a row as were written at once. */
  background_events: {
    tenant: string;
    principal: string;
    id: string;
    first_sequence: number;
    expires_at_ms: number;
    /** Server-sent events, numbered from `first_sequence` without gaps. */
    frames: string;
  };
  conversations: {
    tenant: string;
    principal: string;
    id: string;
    created_at_ms: number;
    expires_at_ms: number;
    /** JSON of what the client attached to it. */
    metadata: string;
    /** Of the next item. It rises with every change, so it also tells whether there was one. */
    next_position: number;
    item_count: number;
    item_bytes: number;
    /** The response that is being made in it; empty when there is none. */
    locked_by: string;
    locked_until_ms: number;
  };
  conversation_items: {
    tenant: string;
    principal: string;
    conversation: string;
    position: number;
    id: string;
    /** JSON. */
    item: string;
  };
}

export type ConversationTransaction = Transaction<ConversationSchema>;

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
    {
      name: '0003-background-runs',
      statements: ({ text, integer, timeMs, tableOptions }) => [
        `create table background_runs (
          tenant ${text} not null,
          principal ${text} not null,
          id ${text} not null,
          holder ${text} not null,
          lease_until_ms ${timeMs} not null,
          next_sequence ${integer} not null,
          primary key (tenant, principal, id)
        ) ${tableOptions}`,
        'create index background_runs_by_lease on background_runs (lease_until_ms)',
        `create table background_events (
          tenant ${text} not null,
          principal ${text} not null,
          id ${text} not null,
          first_sequence ${integer} not null,
          expires_at_ms ${timeMs} not null,
          frames ${text} not null,
          primary key (tenant, principal, id, first_sequence)
        ) ${tableOptions}`,
        'create index background_events_by_expiry on background_events (expires_at_ms)',
      ],
    },
    {
      name: '0004-conversations',
      statements: ({ text, json, integer, timeMs, tableOptions }) => [
        `create table conversations (
          tenant ${text} not null,
          principal ${text} not null,
          id ${text} not null,
          created_at_ms ${timeMs} not null,
          expires_at_ms ${timeMs} not null,
          metadata ${json} not null,
          next_position ${integer} not null,
          item_count ${integer} not null,
          item_bytes ${integer} not null,
          locked_by ${text} not null,
          locked_until_ms ${timeMs} not null,
          primary key (tenant, principal, id)
        ) ${tableOptions}`,
        'create index conversations_by_expiry on conversations (expires_at_ms)',
        `create table conversation_items (
          tenant ${text} not null,
          principal ${text} not null,
          conversation ${text} not null,
          position ${integer} not null,
          id ${text} not null,
          item ${json} not null,
          primary key (tenant, principal, conversation, position)
        ) ${tableOptions}`,
        'create unique index conversation_items_by_id on conversation_items (tenant, principal, conversation, id)',
      ],
    },
  ],
};
