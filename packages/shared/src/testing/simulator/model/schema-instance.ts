import type { JsonSchema } from './conversation.ts';

const maxDepth = 12;
const maxItems = 1000;
const maxTextLength = 100_000;
/** Of a value: a schema can multiply at each depth. */
const maxParts = 10_000;

interface Root {
  readonly schema: JsonSchema;
  parts: number;
}

/** The smallest value that a JSON schema (or the OpenAPI subset that Gemini takes, with upper-case types) accepts. */
export function instanceOf(schema: JsonSchema): unknown {
  return build(schema, { schema, parts: 0 }, 0);
}

function build(schema: unknown, root: Root, depth: number): unknown {
  if (!isObject(schema) || depth > maxDepth || ++root.parts > maxParts) return null;
  if (typeof schema.$ref === 'string') return build(resolve(schema.$ref, root), root, depth + 1);
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if ('default' in schema) return schema.default;
  const choices = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(choices)) return build(choices[0], root, depth + 1);
  if (Array.isArray(schema.allOf)) return build(merge(schema, schema.allOf, root), root, depth + 1);
  switch (typeOf(schema)) {
    case 'object':
      return buildObject(schema, root, depth);
    case 'array':
      return buildArray(schema, root, depth);
    case 'integer':
      return integerOf(schema);
    case 'number':
      return numberOf(schema);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return stringOf(schema);
  }
}

function typeOf(schema: JsonSchema): string {
  const declared = Array.isArray(schema.type) ? schema.type.find(type => type !== 'null') : schema.type;
  if (typeof declared === 'string') return declared.toLowerCase();
  if (isObject(schema.properties)) return 'object';
  return schema.items === undefined ? 'string' : 'array';
}

function buildObject(schema: JsonSchema, root: Root, depth: number): Record<string, unknown> {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required : Object.keys(properties);
  const names = required.filter(name => typeof name === 'string');
  const value: Record<string, unknown> = {};
  for (const name of names) value[name] = build(properties[name], root, depth + 1);
  return value;
}

function buildArray(schema: JsonSchema, root: Root, depth: number): unknown[] {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  // One item shows what items look like; deep down, where a schema may hold itself, none will do.
  const usual = depth < maxDepth / 2 ? 1 : 0;
  const most = numberIn(schema.maxItems) ?? maxItems;
  const length = Math.min(Math.max(numberIn(schema.minItems) ?? usual, prefix.length), most, maxItems);
  return Array.from({ length }, (_, index) => build(prefix[index] ?? schema.items, root, depth + 1));
}

function integerOf(schema: JsonSchema): number {
  const above = numberIn(schema.exclusiveMinimum);
  const from = numberIn(schema.minimum) ?? (above === undefined ? undefined : Math.floor(above) + 1);
  const to = numberIn(schema.maximum) ?? (numberIn(schema.exclusiveMaximum) ?? Number.POSITIVE_INFINITY) - 1;
  const step = numberIn(schema.multipleOf) ?? 1;
  const value = from ?? Math.min(1, Math.floor(to));
  return Math.ceil(value / step) * step;
}

function numberOf(schema: JsonSchema): number {
  const from = numberIn(schema.minimum) ?? numberIn(schema.exclusiveMinimum);
  const to = numberIn(schema.maximum) ?? numberIn(schema.exclusiveMaximum);
  if (from !== undefined && to !== undefined) return (from + to) / 2;
  if (from !== undefined) return from + 0.5;
  return to === undefined ? 1.5 : to - 0.5;
}

const formats: ReadonlyMap<string, string> = new Map(
  Object.entries({
    date: '2026-01-01',
    time: '12:00:00Z',
    'date-time': '2026-01-01T12:00:00Z',
    duration: 'PT1H',
    email: 'ada@example.com',
    hostname: 'example.com',
    uri: 'https://example.com/',
    uuid: '00000000-0000-4000-a000-000000000000',
    ipv4: '192.0.2.1',
    ipv6: '2001:db8::1',
  }),
);

function stringOf(schema: JsonSchema): string {
  const known = typeof schema.format === 'string' ? formats.get(schema.format) : undefined;
  if (known !== undefined) return known;
  const text = 'text'.padEnd(Math.min(numberIn(schema.minLength) ?? 0, maxTextLength), '.');
  return text.slice(0, numberIn(schema.maxLength) ?? text.length);
}

function merge(schema: JsonSchema, parts: readonly unknown[], root: Root): JsonSchema {
  const merged: Record<string, unknown> = { ...schema, allOf: undefined };
  for (const given of parts) {
    const part =
      isObject(given) && typeof given.$ref === 'string'
        ? resolve(given.$ref, root)
        : isObject(given)
          ? given
          : {};
    merged.properties = { ...asObject(merged.properties), ...asObject(part.properties) };
    merged.required = [...asList(merged.required), ...asList(part.required)];
    merged.type ??= part.type;
  }
  return merged;
}

/** Only references into the schema itself (`#/$defs/x`) lead anywhere. */
function resolve(reference: string, root: Root): JsonSchema {
  let at: unknown = root.schema;
  for (const step of reference.replace(/^#\/?/, '').split('/').filter(Boolean))
    at = isObject(at) ? at[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  return asObject(at);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asObject(value: unknown): JsonSchema {
  return isObject(value) ? value : {};
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Some clients write limits as strings (`"minItems": "1"`), as Gemini's own schema type says. */
function numberIn(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value !== '' && Number.isFinite(Number(value))
    ? Number(value)
    : undefined;
}
