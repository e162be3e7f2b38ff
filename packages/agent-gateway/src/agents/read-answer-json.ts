import { GatewayError } from '@strata/shared/errors/gateway-error.ts';
import { parseJson } from '@strata/shared/json/parse-json.ts';
import type * as z from 'zod';

/**
 * What a neighbour answered, in the form that it should have. That it has another is the neighbour's fault, never the caller's.
 * @throws GatewayError upstream_failed with this reason.
 */
export function readAnswerJson<Schema extends z.ZodType>(
  text: Buffer,
  schema: Schema,
  { reason, message }: { readonly reason: string; readonly message: string },
): z.output<Schema> {
  return checkAnswer(jsonOf(text), schema, { reason, message });
}

/** The same of a value that was read already. */
export function checkAnswer<Schema extends z.ZodType>(
  value: unknown,
  schema: Schema,
  { reason, message }: { readonly reason: string; readonly message: string },
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new GatewayError('upstream_failed', message, { reason, cause: parsed.error });
}

function jsonOf(text: Buffer): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined; // no schema takes it
  }
}
