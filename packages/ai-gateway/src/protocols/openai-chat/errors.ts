import { asObject, asString } from '../read-json.ts';

/** Some vendors write the status as the code, as a number. */
function asCode(value: unknown): string | undefined {
  return typeof value === 'number' ? value.toString() : asString(value);
}

/**
 * The machine-readable codes of `{ error: { innererror: { code }, code, type } }`, most specific first. Vendors also write
 * `error` as a text, or put `code` and `type` at the top.
 */
export function readErrorCodes(body: Readonly<Record<string, unknown>>): readonly string[] {
  const error = asObject(body.error) ?? body;
  const inner = asObject(error.innererror);
  return [asString(inner?.code), asCode(error.code), asString(error.type)].filter(code => code !== undefined);
}
