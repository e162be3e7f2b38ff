import pg from 'pg';
import { GatewayError } from '../errors/gateway-error.ts';
import {
  checkViolation,
  commitUnknown,
  foreignKeyViolation,
  storeAccessDenied,
  storeTimeout,
  storeUnavailable,
  textInvalid,
  transactionConflict,
  uniqueViolation,
} from './store-errors.ts';

/** SQLSTATE codes, appendix A of the PostgreSQL manual. */
const byCode: Readonly<Record<string, (cause: unknown) => GatewayError>> = {
  '22021': textInvalid,
  '23505': uniqueViolation,
  '23503': foreignKeyViolation,
  '23514': checkViolation,
  '25006': storeUnavailable, // read-only: a standby, or a primary that was demoted
  '3D000': storeAccessDenied,
  '40001': transactionConflict,
  '40P01': transactionConflict,
  '55P03': transactionConflict,
  '57014': storeTimeout,
};

/** Classes: connection, authorization, resources, operator intervention, failure outside PostgreSQL. */
const byClass: Readonly<Record<string, (cause: unknown) => GatewayError>> = {
  '08': storeUnavailable,
  '28': storeAccessDenied,
  '53': storeUnavailable,
  '57': storeUnavailable,
  '58': storeUnavailable,
};

/** After these the server closes the connection (idle in transaction, shutdown, crash of another session, dropped database). */
const endingCodes = new Set(['25P03', '57P01', '57P02', '57P03', '57P04', '57P05']);

/** A mistake in the program, found before anything was sent. */
function isMistake(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
}

/** Whether the connection is of no more use: it ended, or its answers can no longer be told apart. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return endingCodes.has(error.code ?? '');
  return error instanceof Error && !(error instanceof GatewayError) && !isMistake(error);
}

export function explainPostgresError(error: unknown): unknown {
  if (error instanceof GatewayError || isMistake(error)) return error;
  if (!(error instanceof pg.DatabaseError)) return storeUnavailable(error);
  const code = error.code ?? '';
  const explain = byCode[code] ?? byClass[code.slice(0, 2)];
  return explain?.(error) ?? error;
}

/** For what may have taken effect although its answer was lost: a commit, or a write outside a transaction. */
export function explainLostWrite(error: unknown): unknown {
  return isConnectionLost(error) ? commitUnknown(error) : explainPostgresError(error);
}
