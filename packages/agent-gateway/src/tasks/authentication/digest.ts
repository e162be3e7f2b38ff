import { createHash, randomBytes } from 'node:crypto';

interface Challenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: string;
  readonly hasQop: boolean;
}

const hashes: Readonly<Record<string, string>> = {
  MD5: 'md5',
  'MD5-SESS': 'md5',
  'SHA-256': 'sha256',
  'SHA-256-SESS': 'sha256',
};

/**
 * The strongest Digest challenge of a `WWW-Authenticate` header that can be answered (RFC 7616 section 3.3).
 * Undefined when there is none.
 */
export function readChallenge(header: string | readonly string[] | undefined): Challenge | undefined {
  const lines = header === undefined ? [] : [header].flat();
  const found = lines.flatMap(line => line.split(/(?=\bDigest\s)/i)).map(parse);
  const known = found.filter(each => each !== undefined);
  return known.find(({ algorithm }) => algorithm.startsWith('SHA-256')) ?? known[0];
}

function parse(text: string): Challenge | undefined {
  if (!/^Digest\s/i.test(text)) return undefined;
  const pairs = [...text.slice(7).matchAll(/([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/gi)];
  const values = new Map(
    pairs.map(([, name = '', quoted, bare = '']) => [
      name.toLowerCase(),
      quoted?.replaceAll(/\\(.)/g, '$1') ?? bare,
    ]),
  );
  const { realm, nonce, opaque, algorithm = 'MD5', qop } = Object.fromEntries(values);
  const name = algorithm.toUpperCase();
  const methods = qop?.split(',').map(each => each.trim().toLowerCase());
  if (realm === undefined || nonce === undefined || hashes[name] === undefined) return undefined;
  if (methods !== undefined && !methods.includes('auth')) return undefined;
  return { realm, nonce, opaque, algorithm: name, hasQop: methods !== undefined };
}

/** The `Authorization` header that answers the challenge (RFC 7616 section 3.4). */
export function answerChallenge(
  challenge: Challenge,
  request: { method: string; path: string; username: string; password: string },
  clientNonce = randomBytes(16).toString('hex'),
): string {
  const { realm, nonce, opaque, algorithm, hasQop } = challenge;
  const { method, path, username, password } = request;
  const hash = (text: string) =>
    createHash(hashes[algorithm] ?? 'md5')
      .update(text)
      .digest('hex');
  const user = hash(`${username}:${realm}:${password}`);
  const secret = algorithm.endsWith('-SESS') ? hash(`${user}:${nonce}:${clientNonce}`) : user;
  const action = hash(`${method}:${path}`);
  const count = '00000001';
  const response = hasQop
    ? hash(`${secret}:${nonce}:${count}:${clientNonce}:auth:${action}`)
    : hash(`${secret}:${nonce}:${action}`);
  const quoted = { username, realm, nonce, uri: path, response, ...(opaque !== undefined && { opaque }) };
  const parts = Object.entries(quoted).map(
    ([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, '\\$&')}"`,
  );
  parts.push(`algorithm=${algorithm}`);
  if (hasQop || algorithm.endsWith('-SESS')) parts.push(`cnonce="${clientNonce}"`);
  if (hasQop) parts.push('qop=auth', `nc=${count}`);
  return `Digest ${parts.join(', ')}`;
}
