import type { JsonObject } from '../../domain/json-object.ts';
import { asString } from '../read-json.ts';

/** AWS names an error in a header, and sometimes in `__type`, both with a namespace or a colon around it. */
export function readErrorCodes(body: JsonObject): readonly string[] {
  const code = asString(body.__type) ?? asString(body.code);
  return code === undefined ? [] : [errorCode(code)];
}

/** `com.amazon.coral#ThrottlingException:http://…` → `throttlingexception`. */
export function errorCode(written: string): string {
  const name = written.split(':', 1)[0] ?? '';
  return name.slice(name.lastIndexOf('#') + 1).toLowerCase();
}
