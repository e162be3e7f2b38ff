import type { SchemaProblem } from '../domain/data-schemas.ts';

export type SchemaJob =
  | { readonly type: 'check'; readonly schema: string }
  | { readonly type: 'validate'; readonly schema: string; readonly value: unknown };

export type SchemaAnswer =
  | { readonly type: 'done'; readonly problems: readonly SchemaProblem[] }
  | { readonly type: 'invalid-schema'; readonly message: string };
