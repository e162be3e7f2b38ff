import type { JsonObject } from '../../domain/json-object.ts';
import { asObject } from '../read-json.ts';

export const geminiProtocol = 'gemini';

/** The values below these names are the caller's own. */
const opaque = new Set([
  'args',
  'response',
  'parameters',
  'parametersJsonSchema',
  'responseSchema',
  'responseJsonSchema',
  'labels',
]);

/** Names may come in snake_case too; here they are in camelCase. */
export function camelCased(body: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(body).map(([key, value]) => {
      const name = key.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
      return [name, opaque.has(name) ? value : camelCasedValue(value)];
    }),
  );
}

function camelCasedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCasedValue);
  const object = asObject(value);
  return object === undefined ? value : camelCased(object);
}
