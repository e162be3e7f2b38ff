/** Exact, with all nine digits of a nano-USD: `1.250000000`. */
export function usdText(nano: bigint): string {
  const size = nano < 0n ? -nano : nano;
  return `${nano < 0n ? '-' : ''}${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')}`;
}

const amountPattern = /^(\d{1,9})(?:\.(\d{1,9}))?$/;

/** `'12.5'` as 12500000000. Undefined when it is no plain decimal number of at most nine digits on each side. */
export function parseUsd(text: string): bigint | undefined {
  const match = amountPattern.exec(text);
  if (!match) return undefined;
  const [, whole = '0', fraction = ''] = match;
  return BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
}

/** `Math.min` takes no bigint. */
export function smaller(left: bigint, right: bigint): bigint {
  if (left < right) return left;
  return right;
}

export function larger(left: bigint, right: bigint): bigint {
  if (left > right) return left;
  return right;
}
