import { GatewayError } from '@strata/shared/errors/gateway-error.ts';

/** @throws GatewayError too_large (`value_too_large`) when it has more bytes as JSON. */
export function requireSize(
  value: unknown,
  { what, most, param }: { readonly what: string; readonly most: number; readonly param?: string },
): void {
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= most) return;
  throw new GatewayError('too_large', `The ${what} has ${bytes} bytes; it may have ${most}.`, {
    reason: 'value_too_large',
    ...(param !== undefined && { param }),
  });
}
