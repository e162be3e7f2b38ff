import type { JsonObject } from '../../domain/json-object.ts';
import { asString } from '../read-json.ts';

/** Cohere's errors are `{ message, id }`: the status says all there is. Some carry a code. */
export function readErrorCodes(body: JsonObject): readonly string[] {
  return [asString(body.code), asString(body.error_type)].filter(code => code !== undefined);
}
