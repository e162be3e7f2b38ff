/** The order of jq (manual, "sort"): null, false, true, numbers, strings, arrays, objects. */
export function compareValues(left: unknown, right: unknown): number {
  const rank = rankOf(left) - rankOf(right);
  if (rank !== 0) return rank;
  if (typeof left === 'number' && typeof right === 'number') return left < right ? -1 : left > right ? 1 : 0;
  if (typeof left === 'string' && typeof right === 'string') return compareTexts(left, right);
  if (Array.isArray(left) && Array.isArray(right)) return compareArrays(left, right);
  if (isObject(left) && isObject(right)) return compareObjects(left, right);
  return 0;
}

function rankOf(value: unknown): number {
  if (value === null || value === undefined) return 0;
  if (value === false) return 1;
  if (value === true) return 2;
  if (typeof value === 'number') return 3;
  if (typeof value === 'string') return 4;
  return Array.isArray(value) ? 5 : 6;
}

/** By code points; JavaScript compares UTF-16 units, which puts what is beyond U+FFFF before U+E000. */
function compareTexts(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    if (left.charCodeAt(index) === right.charCodeAt(index)) continue;
    const isLow = index > 0 && (left.charCodeAt(index) & 0xfc00) === 0xdc00;
    const at = isLow && (right.charCodeAt(index) & 0xfc00) === 0xdc00 ? index - 1 : index;
    return (left.codePointAt(at) ?? 0) - (right.codePointAt(at) ?? 0);
  }
  return left.length - right.length;
}

function compareArrays(left: readonly unknown[], right: readonly unknown[]): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const order = compareValues(left[index], right[index]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** First by their keys, sorted; then by the values in the order of the keys. */
function compareObjects(left: Record<string, unknown>, right: Record<string, unknown>): number {
  const leftKeys = Object.keys(left).sort(compareTexts);
  const rightKeys = Object.keys(right).sort(compareTexts);
  const order = compareArrays(leftKeys, rightKeys);
  if (order !== 0) return order;
  for (const key of leftKeys) {
    const valueOrder = compareValues(left[key], right[key]);
    if (valueOrder !== 0) return valueOrder;
  }
  return 0;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
