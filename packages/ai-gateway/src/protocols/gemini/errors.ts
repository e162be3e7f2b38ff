import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asObjects, asString } from '../read-json.ts';

/** The machine-readable codes of a `google.rpc.Status`: the reason in its details, then its status, in lower case. */
export function readErrorCodes(body: JsonObject): readonly string[] {
  const error = asObject(body.error) ?? asObject(Array.isArray(body.error) ? body.error[0] : undefined);
  const reasons = asObjects(error?.details).map(detail => asString(detail.reason));
  return [...reasons, asString(error?.status)].flatMap(code =>
    code === undefined ? [] : [code.toLowerCase()],
  );
}
