import { type IdentitySchema, identityMigrations } from '../identity/identity-schema.ts';
import type { MigrationSet } from './migrations.ts';

/** The tables that the three gateways share. */
export type SharedSchema = IdentitySchema;

export const sharedMigrations: readonly MigrationSet[] = [identityMigrations];
