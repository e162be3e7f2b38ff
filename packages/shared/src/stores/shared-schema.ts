import { type AdminSchema, adminMigrations } from '../admin/admin-schema.ts';
import { type AuditSchema, auditMigrations } from '../audit/audit-schema.ts';
import { type ConversationSchema, conversationMigrations } from '../conversations/conversation-schema.ts';
import { type IdentitySchema, identityMigrations } from '../identity/identity-schema.ts';
import { type LimitTables, limitMigrations } from '../limits/limit-schema.ts';
import { type MoneySchema, moneyMigrations } from '../money/money-schema.ts';
import { type ServerSchema, serverMigrations } from '../registry/server-schema.ts';
import type { MigrationSet } from './migrations.ts';

/** The tables that the three gateways share. */
export type SharedSchema = IdentitySchema &
  MoneySchema &
  LimitTables &
  AuditSchema &
  ConversationSchema &
  ServerSchema &
  AdminSchema;

export const sharedMigrations: readonly MigrationSet[] = [
  identityMigrations,
  moneyMigrations,
  limitMigrations,
  auditMigrations,
  conversationMigrations,
  serverMigrations,
  adminMigrations,
];
