/** Words of names whose values prove who somebody is. */
const proof =
  /^(auth|authn|authorization|authentication|key|keys|sig|pat|sid|jwt|pwd|pass|pin|otp|bearer|sas|hmac|dsn)$/;
const proofWithin = /token|secret|passw|passphrase|credential|cookie|session|signature|[a-z]key$/;
/** `code` alone, or of what: a code of a country proves nothing. */
const proofOfCode = /(?:^|(?:^|[-_])(?:auth|authorization|access|functions?|host|invite|pass)[-_]?)code$/i;
/** The last word of names of what is said about a credential, and is none. */
const saysAbout =
  /^(url|uri|urls|path|file|dir|name|type|mode|header|timeout|ttl|ms|seconds|minutes|length|size|count|limit|enabled|algorithm|issuer|audience|method|provider|domain|endpoint|region|version)$/;
/** Values that are credentials whatever they are called. */
const looksLikeOne =
  /^(?:bearer|basic|token|apikey) |^eyJ[\w-]+\.[\w-]+\.|^(?:sk|pk|rk|ghp|gho|ghu|ghs|github_pat|glpat|xox[a-z])[-_]\w/i;

/** Of values by name those that are credentials. Others may also say a version or a tenant, which stand in answers rightly. */
export function credentialsIn(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (name.toLowerCase() === 'cookie') return [value, ...cookiesIn(value)];
    return isCredentialName(name) || looksLikeOne.test(value) ? [value] : passwordIn(value);
  });
}

/** Of an address: what its query proves, and the password in it. */
export function credentialsInUrl(url: string): string[] {
  const parsed = URL.parse(url);
  if (parsed === null) return [];
  return [...credentialsIn(Object.fromEntries(parsed.searchParams)), ...passwordIn(url)];
}

/** Of the arguments of a program: `--api-key=x`, `--api-key x`, and headers such as `Authorization: Bearer x`. */
export function credentialsInArguments(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const [, name, value = args[index + 1] ?? ''] = /^--?([\w.-]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name !== undefined) return credentialsIn({ [name]: value });
    const [, header, said = ''] = /^([\w-]+):\s*(.*)$/s.exec(arg) ?? [];
    return header === undefined || said.startsWith('//')
      ? credentialsInUrl(arg)
      : credentialsIn({ [header]: said });
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
  return header.split(';').map(pair => pair.slice(pair.indexOf('=') + 1).trim());
}

/** `scheme://user:password@host`, as addresses of databases are. */
function passwordIn(value: string): string[] {
  const { password = '' } = /^[a-z][a-z0-9+.-]*:/i.test(value) ? (URL.parse(value) ?? {}) : {};
  if (password === '') return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
