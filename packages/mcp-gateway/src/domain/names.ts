import { createHash } from 'node:crypto';
import { allowingGlobs } from '@strata/shared/identity/scopes.ts';

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

/** ASCII characters that look like another one (Unicode TR 39, confusables.txt, as far as names may hold them). */
const lookalikes: Readonly<Record<string, string>> = { '0': 'o', O: 'o', '1': 'l', I: 'l', m: 'rn' };

/**
 * What a name is mistaken for: names that are equal in any of these could be taken for one another by a person or a
 * model (M8). The first ignores case, the second also how alike some characters look.
 */
export function foldsOf(name: string): readonly [string, string] {
  const plain = name.normalize('NFKC');
  const skeleton = plain.replace(/[01OIm]/g, each => lookalikes[each] ?? each).toLowerCase();
  return [`case ${plain.toLowerCase()}`, `look ${skeleton}`];
}

/** Two of the names that could be mistaken for one another, if there are any. */
export function findLookalikes(names: readonly string[]): readonly [string, string] | undefined {
  const seen = new Map<string, string>();
  for (const name of names) {
    for (const fold of foldsOf(name)) {
      const other = seen.get(fold);
      if (other !== undefined && other !== name) return [other, name];
      seen.set(fold, name);
    }
  }
  return undefined;
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

/** The glob that forbids all of a server, whatever its items are called. */
export function forbidServer(server: string): string {
  return `!${server}${nameSeparator}*`;
}

/** Whether any item of the server could match the globs. `false` spares the server from being started. */
export function mayUseServer(patterns: readonly string[], server: string, hasPlainNames: boolean): boolean {
  const allowing = allowingGlobs(patterns);
  if (patterns.includes(forbidServer(server))) return false;
  if (hasPlainNames) return allowing.length > 0;
  const prefix = `${server}${nameSeparator}`;
  return allowing.some(pattern => {
    const star = pattern.indexOf('*');
    const literal = star === -1 ? pattern : pattern.slice(0, star);
    return literal.startsWith(prefix) || (star !== -1 && prefix.startsWith(literal));
  });
}
