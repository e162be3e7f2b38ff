import type { JsonObject } from '../../domain/json-object.ts';
import { asObject, asString } from '../read-json.ts';

/** Members of Google's schema that hold schemas, one, many or by name. */
const one = ['items', 'additionalProperties'];
const many = ['anyOf', 'prefixItems'];
const named = ['properties'];

/** Google's subset of OpenAPI as JSON Schema: types in lower case, `nullable` as a type. */
export function toJsonSchema(schema: JsonObject): JsonObject {
  const { nullable, propertyOrdering: _ordering, ...rest } = schema;
  const result: Record<string, unknown> = { ...rest };
  const type = asString(schema.type)?.toLowerCase();
  if (type !== undefined) result.type = nullable === true ? [type, 'null'] : type;
  for (const key of one) if (asObject(rest[key])) result[key] = toJsonSchema(asObject(rest[key]) ?? {});
  for (const key of many) {
    const list = rest[key];
    if (Array.isArray(list)) result[key] = list.map(each => toJsonSchema(asObject(each) ?? {}));
  }
  for (const key of named) {
    const members = asObject(rest[key]);
    if (members === undefined) continue;
    result[key] = Object.fromEntries(
      Object.entries(members).map(([name, inner]) => [name, toJsonSchema(asObject(inner) ?? {})]),
    );
  }
  return result;
}
