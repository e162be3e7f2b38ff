/** Header fields as Node and undici give them. */
export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Names that may pass, lower case. */
export interface HeaderAllowlist {
  has(name: string): boolean;
}

/** Of one connection, not of the message (RFC 9110 section 7.6.1): never passed on, whatever a list says. */
const hopByHop = [
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-authenticate', 'proxy-authorization', 'http2-settings', 'expect', 'host', 'content-length'],
];
/** Credentials and state of one side, which the other side must not get (A17). */
const ofOneSide = [
  'authorization',
  'cookie',
  'set-cookie',
  'set-cookie2',
  'x-api-key',
  'x-goog-api-key',
  'www-authenticate',
];
const neverPassed = new Set([...hopByHop, ...ofOneSide]);

const fieldName = /^[a-z0-9!#$%&'*+.^`|~-]+$/; // a token without `_`, which some servers take for `-`
const fieldValue = /^[\t -~\x80-\xff]*$/;
const maxFields = 64;
const maxTotalBytes = 16 * 1024;

/**
 * A list of names that may pass. A name that ends in `*` stands for all that begin so (`x-ratelimit-*`).
 * @throws RangeError for a name that never passes, so that no list can promise it.
 */
export function createHeaderAllowlist(names: readonly string[]): HeaderAllowlist {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const name of names) {
    const stem = name.replace(/\*$/, '');
    if (!fieldName.test(stem) || neverPassed.has(name))
      throw new RangeError(`The header '${name}' cannot be passed on`);
    if (stem === name) exact.add(name);
    else prefixes.push(stem);
  }
  return { has: name => exact.has(name) || prefixes.some(prefix => name.startsWith(prefix)) };
}

/**
 * One side's headers for the other: rebuilt, never copied. From a client to an upstream as from an upstream to a client, whose
 * cookies and internals stay behind (A17). What a message must have of itself is added after.
 */
export function rebuildHeaders(fields: HeaderFields, allowed: HeaderAllowlist): Record<string, string> {
  const dropped = namedByConnection(fields);
  const result: Record<string, string> = Object.create(null);
  let count = 0;
  let bytes = 0;
  for (const [given, value] of Object.entries(fields)) {
    const name = given.toLowerCase();
    if (value === undefined || name in result) continue; // the first of two that differ in case alone
    if (!allowed.has(name) || neverPassed.has(name) || dropped.has(name) || !fieldName.test(name)) continue;
    const text = typeof value === 'string' ? value : [...new Set(value)].join(', ');
    if (!fieldValue.test(text)) continue;
    bytes += name.length + text.length;
    if (++count > maxFields || bytes > maxTotalBytes) break;
    result[name] = text;
  }
  return result;
}

/** What `Connection` names belongs to the connection too, however its own name is written. */
function namedByConnection(fields: HeaderFields): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name.toLowerCase() !== 'connection') continue;
    for (const token of String(value).split(',')) names.add(token.trim().toLowerCase());
  }
  return names;
}
