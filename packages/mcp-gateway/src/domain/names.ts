import { createHash } from 'node:crypto';

/** What clients and model providers accept as a tool name; the charset of SEP-986. */
const maxNameLength = 64;
const acceptedName = /^[A-Za-z0-9_.-]{1,64}$/;
const hashLength = 8;

/** Between a server's name and an item's. Server names may not hold it, so a prefix never means two servers. */
export const nameSeparator = '__';

export const serverNamePattern = /^[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*$/;

/**
 * The name under which a client sees a tool or prompt: `server__tool`. One that is too long or holds characters
 * clients refuse is cut and ends in eight hexadecimal digits of the SHA-256 of the full name: the same on every start
 * and every replica.
 */
export function exposedName(server: string, name: string, isPlain = false): string {
  const full = isPlain ? name : `${server}${nameSeparator}${name}`;
  if (acceptedName.test(full)) return full;
  const hash = createHash('sha256').update(`${server}\0${name}`).digest('hex').slice(0, hashLength);
  const head = full.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, maxNameLength - hashLength - 1);
  return `${head}_${hash}`;
}

/** Names that a person or a model could take for one another have the same fold (M8). */
export function foldName(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

/** The servers a client's name can belong to; all of them when the name says nothing. A hint, not a route. */
export function candidateServers(
  name: string,
  servers: readonly { readonly name: string; readonly hasPlainNames: boolean }[],
): string[] {
  return servers
    .filter(server => server.hasPlainNames || name.startsWith(`${server.name}${nameSeparator}`))
    .map(server => server.name);
}

/** Whether any item of the server could match one of the globs. `false` spares the server from being started. */
export function mayUseServer(patterns: readonly string[], server: string, hasPlainNames: boolean): boolean {
  if (hasPlainNames) return patterns.length > 0;
  const prefix = `${server}${nameSeparator}`;
  return patterns.some(pattern => {
    const star = pattern.indexOf('*');
    const literal = star === -1 ? pattern : pattern.slice(0, star);
    return literal.startsWith(prefix) || (star !== -1 && prefix.startsWith(literal));
  });
}
