/**
 * Integers of a store as JavaScript has them: a number where it is exact, else a bigint. Both dialects read by this rule, so a column
 * that may exceed 2^53 is typed `number | bigint` and the rest plainly `number`.
 */
export function narrowInteger(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : value;
}

export function parseInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}
