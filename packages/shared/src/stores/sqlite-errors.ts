import {
  checkViolation,
  commitUnknown,
  foreignKeyViolation,
  storeUnavailable,
  uniqueViolation,
} from './store-errors.ts';

/** Result codes (sqlite.org/rescode.html). The low byte of an extended code is its primary code. */
const primary = { busy: 5, locked: 6, readOnly: 8, ioError: 10, full: 13, cannotOpen: 14 };
const extended = { check: 275, foreignKey: 787, primaryKey: 1555, unique: 2067, rowId: 2579 };

const unavailable = new Set(Object.values(primary));
const uniqueCodes = new Set([extended.primaryKey, extended.unique, extended.rowId]);

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode
    : undefined;
}

/** Whether somebody else holds the lock. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && (code & 0xff) === primary.busy;
}

export function explainSqliteError(error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  if (uniqueCodes.has(code)) return uniqueViolation(error);
  if (code === extended.foreignKey) return foreignKeyViolation(error);
  if (code === extended.check) return checkViolation(error);
  return unavailable.has(code & 0xff) ? storeUnavailable(error) : error;
}

/** A disk that fails while a commit is written may hold it or not (F11). Every other failure leaves the transaction undone. */
export function explainCommitError(error: unknown): unknown {
  const code = codeOf(error);
  return code !== undefined && (code & 0xff) === primary.ioError
    ? commitUnknown(error)
    : explainSqliteError(error);
}
