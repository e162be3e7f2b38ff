import { asObject, asString } from '../read-json.ts';

/**
 * The machine-readable codes of `{ error: { code, type } }`, most specific first. Vendors also write `error` as a text, or put
 * `code` and `type` at the top.
 */
export function readErrorCodes(body: Readonly<Record<string, unknown>>): readonly string[] {
  const error = asObject(body.error) ?? body;
  return [asString(error.code), asString(error.type)].filter(code => code !== undefined);
}
