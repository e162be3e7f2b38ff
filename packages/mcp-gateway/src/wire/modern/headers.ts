/**
 * Values of the headers that repeat parts of a request (2026-07-28, "Transports"). What a header cannot hold as it is goes
 * as `=?base64?…?=`; so does what would read as that form.
 */
const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const encoded = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;

export function encodeHeaderValue(text: string): string {
  if (plain.test(text) && !encoded.test(text)) return text;
  return `=?base64?${Buffer.from(text).toString('base64')}?=`;
}

/** `undefined` when the value is in the encoded form and not valid in it. */
export function decodeHeaderValue(value: string): string | undefined {
  if (!value.startsWith('=?base64?')) return value;
  const match = encoded.exec(value);
  if (!match) return undefined;
  const bytes = Buffer.from(match[1] ?? '', 'base64');
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

const methodsWithName: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** The member of `params` that `Mcp-Name` repeats; undefined for methods without that header. */
export function nameMemberOf(method: string): string | undefined {
  return Object.hasOwn(methodsWithName, method) ? methodsWithName[method] : undefined;
}

/** The headers of a request to a server. */
export function requestHeaders(
  method: string,
  name: string | undefined,
  paramHeaders: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    'mcp-method': method,
    ...(name !== undefined && nameMemberOf(method) !== undefined && { 'mcp-name': encodeHeaderValue(name) }),
    ...paramHeaders,
  };
}
