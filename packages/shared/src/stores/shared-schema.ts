import { type IdentitySchema, identityMigrations } from '../identity/identity-schema.ts';
import { type MoneySchema, moneyMigrations } from '../money/money-schema.ts';
import type { MigrationSet } from './migrations.ts';

/** The tables that the three gateways share. */
export type SharedSchema = IdentitySchema & MoneySchema;

export const sharedMigrations: readonly MigrationSet[] = [identityMigrations, moneyMigrations];
