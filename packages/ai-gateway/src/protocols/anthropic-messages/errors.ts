import { asObject, asString } from '../read-json.ts';

/** The machine-readable code of `{ type: 'error', error: { type } }`. */
export function readErrorCodes(body: Readonly<Record<string, unknown>>): readonly string[] {
  const type = asString(asObject(body.error)?.type);
  return type === undefined ? [] : [type];
}
