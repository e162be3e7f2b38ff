/** The members of a JSON object, or undefined when the text is anything else. Upstreams send all sorts of things, a byte order mark among them. */
export function parseObject(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  return asObject(parseJson(bytes));
}

export function isJson(bytes: Buffer): boolean {
  return parseJson(bytes) !== undefined;
}

function parseJson(bytes: Buffer): unknown {
  const text = bytes.toString('utf8');
  try {
    return JSON.parse(text.startsWith('\ufeff') ? text.slice(1) : text);
  } catch {
    return undefined; // not JSON is an answer here: the caller decides what it means
  }
}

export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

export function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function asBoolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

/** The objects of an array; anything else in it, or instead of it, is left out. */
export function asObjects(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value)) return [];
  return value.filter(item => asObject(item) !== undefined);
}

/** A copy without members that are undefined. */
export function defined<Members extends Readonly<Record<string, unknown>>>(members: Members): Members {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Members; // `undefined` and absent are one on the wire
}

/** The members of `object` that are not in `known`. */
export function without(
  object: Readonly<Record<string, unknown>>,
  known: ReadonlySet<string>,
): Readonly<Record<string, unknown>> {
  const rest = Object.keys(object).filter(key => !known.has(key) && object[key] != null);
  return Object.fromEntries(rest.map(key => [key, object[key]]));
}

/** What an upstream's error body says to a person: `error.message`, or `message`. */
export function readErrorMessage(body: Buffer): string | undefined {
  const parsed = parseObject(body);
  return asString(asObject(parsed?.error)?.message) ?? asString(parsed?.message) ?? asString(parsed?.error);
}
