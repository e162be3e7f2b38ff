/** Words of names whose values prove who somebody is. */
const proof =
  /^(auth|authn|authorization|authentication|key|keys|sig|pat|sid|jwt|pwd|pass|pin|otp|bearer|sas|hmac|dsn)$/;
const proofWithin = /token(?!s|iz)|secret|passw|passphrase|credential|cookie|session|signature|[a-z]key$/;
/** `code` alone, or of what: a code of a country proves nothing. */
const proofOfCode = /(?:^|(?:^|[-_])(?:auth|authorization|access|functions?|host|invite|pass)[-_]?)code$/i;
/** The last word of names of what is said about a credential, and is none. */
const saysAbout =
  /^(url|uri|urls|path|file|dir|name|type|mode|header|timeout|ttl|ms|seconds|minutes|length|size|count|limit|enabled|algorithm|issuer|audience|method|provider|domain|endpoint|region|version|tokens|store|prefix|user|username|strategy|backend|driver|scope|scopes|tokenizer)$/;
/** Values that are credentials whatever they are called. */
const looksLikeOne =
  /^(?:bearer|basic|token|apikey) |^eyJ[\w-]+\.[\w-]+\.|^(?:sk|pk|rk|ghp|gho|ghu|ghs|github_pat|glpat|xox[a-z])[-_]\w/i;

/** A number, or a short word: it stands in many texts rightly, and whoever knows it was withheld knows it anyway. */
const saysNothing = /^(?:[\d.]{1,9}|[a-z]{1,7})$/i;

/** Of values by name those that are credentials. Others may also say a version or a tenant, which stand in answers rightly. */
export function credentialsIn(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(credentialsOf);
}

function credentialsOf([name, value]: readonly [name: string, value: string]): string[] {
  if (name.toLowerCase() === 'cookie') return [value, ...cookiesIn(value)];
  const isOne = looksLikeOne.test(value) || (isCredentialName(name) && !saysNothing.test(value));
  return isOne ? [value, ...credentialsWithin(value)] : credentialsWithin(value);
}

/** Of a value that is an address, a connection string or JSON. */
function credentialsWithin(value: string): string[] {
  if (/^[a-z][a-z0-9+.-]*:/i.test(value)) return credentialsInUrl(value);
  return /^\s*[[{]/.test(value) ? credentialsInJson(value) : credentialsInPairs(value);
}

/** Of an address: what its query proves, and whom it names. */
export function credentialsInUrl(url: string): string[] {
  const query = /\?([^#]*)/.exec(url)?.[1] ?? '';
  return [...[...new URLSearchParams(query)].flatMap(credentialsOf), ...credentialsInAuthority(url)];
}

/** Of the arguments of a program: `--api-key=x`, `--api-key x`, and headers such as `Authorization: Bearer x`. */
export function credentialsInArguments(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const [, name, value = args[index + 1] ?? ''] = /^--?([\w.-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name !== undefined) return credentialsOf([name, value]);
    const [, header, said = ''] = /^([\w-]+):\s*(.*)$/s.exec(arg) ?? [];
    return header === undefined || said.startsWith('//')
      ? credentialsWithin(arg)
      : credentialsOf([header, said]);
  });
}

export function isCredentialName(name: string): boolean {
  if (proofOfCode.test(name)) return true;
  const words = name
    .split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/)
    .filter(word => word !== '')
    .map(word => word.toLowerCase());
  if (saysAbout.test(words.at(-1) ?? '')) return false;
  return words.some(word => proof.test(word) || proofWithin.test(word));
}

function cookiesIn(header: string): string[] {
  const values = header.split(';').map(pair => pair.slice(pair.indexOf('=') + 1).trim());
  return values.filter(value => !saysNothing.test(value));
}

/** Such as the key of a service account. */
function credentialsInJson(value: string): string[] {
  const found: string[] = [];
  try {
    JSON.parse(value, (name, leaf: unknown) => {
      if (typeof leaf === 'string') found.push(...credentialsOf([name, leaf]));
      return leaf;
    });
  } catch {
    return []; // then it is none
  }
  return found;
}

/** `AccountName=a;AccountKey=b`, `host=a password=b`. */
function credentialsInPairs(value: string): string[] {
  const pieces = value.split(value.includes(';') ? ';' : /\s+/).filter(piece => piece.trim() !== '');
  const pairs = pieces.map(piece => /^\s*([\w .-]+?)\s*=\s*(.*?)\s*$/s.exec(piece));
  if (pairs.length < 2 || pairs.includes(null)) return [];
  return pairs.flatMap(pair => {
    const [, name = '', said = ''] = pair ?? [];
    return isCredentialName(name) && !saysNothing.test(said) ? [said] : [];
  });
}

/** `scheme://user:password@host` of one or many hosts, as addresses of databases are, and `scheme://token@host`. */
function credentialsInAuthority(url: string): string[] {
  const [, scheme = '', named] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)@/i.exec(url) ?? [];
  if (named === undefined) return [];
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(named) ?? [];
  const isToken = looksLikeOne.test(user) || (password === '' && /^(?=.*\d).{12,}$/s.test(user));
  const isPassword = password !== user && password !== scheme && !saysNothing.test(password);
  return [...(isToken ? asWritten(user) : []), ...(isPassword ? asWritten(password) : [])];
}

function asWritten(encoded: string): string[] {
  if (encoded === '') return [];
  try {
    return [encoded, decodeURIComponent(encoded)];
  } catch {
    return [encoded];
  }
}
