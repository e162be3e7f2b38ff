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
const saysNothing = /^\s*(?:[\d.]{1,9}|[a-z]{1,7})\s*$/i;

/** Of values by name those that are credentials. Others may also say a version or a tenant, which stand in answers rightly. */
export function credentialsIn(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(credentialsOf);
}

function credentialsOf([name, value]: readonly [name: string, value: string]): string[] {
  const named = credentialsNamed(name, value);
  return isCookie(name) ? named : [...named, ...credentialsWithin(value)];
}

function credentialsNamed(name: string, value: string): string[] {
  if (isCookie(name)) return [value, ...cookiesIn(value)];
  const isOne = looksLikeOne.test(value) || (isCredentialName(name) && !saysNothing.test(value));
  return isOne ? [value] : [];
}

function isCookie(name: string): boolean {
  return name.toLowerCase() === 'cookie';
}

/** Of a value that is headers, an address, a connection string or JSON. */
function credentialsWithin(value: string): string[] {
  const headers = value.split(/[\r\n]+/).map(line => /^\s*([\w-]+):\s+(\S.*)$/.exec(line));
  if (!headers.includes(null))
    return headers.flatMap(header => credentialsNamed(header?.[1] ?? '', header?.[2] ?? ''));
  if (/^[a-z][a-z0-9+.-]*:/i.test(value)) return credentialsInUrl(value);
  return /^\s*[[{]/.test(value) ? credentialsInJson(value) : credentialsInPairs(value);
}

/** Of an address: what its query or what stands behind semicolons proves, and whom it names. */
export function credentialsInUrl(url: string): string[] {
  const query = /\?([^#]*)/.exec(url)?.[1] ?? '';
  const [, properties = ''] = /;(.*)$/s.exec(url) ?? [];
  const said = [...new URLSearchParams(query)].flatMap(credentialsOf);
  return [...said, ...credentialsInPairs(properties), ...credentialsInAuthority(url)];
}

/** Of the arguments of a program: `--api-key=x`, `--api-key x`, and what stands by itself or is the value of a flag. */
export function credentialsInArguments(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const [, flag, value] = /^--?([\w.-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (flag === undefined) return credentialsInArgument(arg);
    if (value === undefined) return credentialsNamed(flag, args[index + 1] ?? '');
    return [...credentialsNamed(flag, value), ...credentialsInArgument(value)];
  });
}

/** `API_KEY=x`, `Authorization: Bearer x`, or what is one by its look. */
function credentialsInArgument(text: string): string[] {
  const [, name, value = ''] = /^([\w.-]+)=(.*)$/s.exec(text) ?? [];
  if (name !== undefined)
    return [...(isLabel([name, value]) ? [] : credentialsOf([name, value])), ...credentialsInPairs(text)];
  const [, header, said = ''] = /^([\w-]+):\s*(.*)$/s.exec(text) ?? [];
  return header === undefined || said.startsWith('//')
    ? credentialsOf(['', text])
    : credentialsOf([header, said]);
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

/** `key=production` by itself is one of many things that have keys. */
function isLabel([name, said]: readonly [name: string, said: string]): boolean {
  return /^[Kk]eys?$/.test(name) && /^[a-z]+$/i.test(said);
}

/** `AccountName=a;AccountKey=b`, `host=a password=b`, `api-key=a,tenant=b`, in every way it can be read, or one pair. */
function credentialsInPairs(value: string): string[] {
  const readings = [/;/, /,/, /\s+/, /$/].map(separator => pairsIn(value, separator));
  const lists = readings.filter(each => each.length > 1);
  const single = readings.at(-1)?.filter(pair => !isLabel(pair)) ?? [];
  const pairs = lists.length > 0 ? lists.flat() : single;
  return pairs.flatMap(([name, said]) => {
    if (!isCredentialName(name) || saysNothing.test(said)) return [];
    return said.includes('%') ? asWritten(said) : [said];
  });
}

/** None where something between two separators is no pair. */
function pairsIn(value: string, separator: RegExp): (readonly [name: string, said: string])[] {
  const pieces = value.split(separator).map(piece => piece.trim());
  const pairs = pieces.filter(piece => piece !== '').map(piece => /^([\w .-]+)=(.*)$/s.exec(piece));
  if (pairs.includes(null)) return [];
  return pairs.map(pair => [pair?.[1]?.trim() ?? '', pair?.[2]?.trim() ?? ''] as const);
}

/** `scheme://user:password@host` of one or many hosts, as addresses of databases are (`jdbc:` before it or not), and `scheme://token@host`. */
function credentialsInAuthority(url: string): string[] {
  const [, scheme = '', named] = /^(?:[a-z]+:)?([a-z][a-z0-9+.-]*):\/\/([^/?#]*)@/i.exec(url) ?? [];
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
