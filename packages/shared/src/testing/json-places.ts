/** The way to a value inside a JSON document: keys of objects and indexes of arrays. */
export type Place = readonly (string | number)[];

/** Every place of a document, the document itself first. */
export function placesIn(value: unknown, at: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [at];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [at, ...entries.flatMap(([key, inner]) => placesIn(inner, [...at, key]))];
}

/** The document with another value at one of its places. */
export function replaced(value: unknown, [first, ...rest]: Place, by: unknown): unknown {
  if (first === undefined) return by;
  if (Array.isArray(value))
    return value.map((inner, index) => (index === first ? replaced(inner, rest, by) : inner));
  const object = value as Record<string, unknown>; // a place leads through arrays and objects only
  return { ...object, [first]: replaced(object[first], rest, by) };
}
