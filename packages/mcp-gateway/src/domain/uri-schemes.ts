const scheme = /^([a-z][a-z0-9+.-]*):/i;

/**
 * Whether a resource of this URI, or template, may be offered and read (M24). The gateway itself opens no URI: it passes them to the server
 * they are of, byte for byte. `undefined` allows every scheme.
 */
export function isSchemeAllowed(uri: string, allowed: readonly string[] | undefined): boolean {
  if (allowed === undefined) return true;
  const [, name] = scheme.exec(uri) ?? [];
  return name !== undefined && allowed.includes(name.toLowerCase());
}
