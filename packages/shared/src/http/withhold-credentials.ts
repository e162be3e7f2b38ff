import { insideStrings } from '../json/inside-strings.ts';

const instead = '***';
/** As short as something may be that is looked for before all else. */
const shortestProbe = 4;
/** A line of a credential of several lines is looked for by itself from this length on: logs break, indent and cut them. */
const shortestLine = 16;
/** What is longer and of letters alone is no word that names something. */
const longestWord = 20;

/** Takes what was shown to a service out of what it answers: who tells whom it saw must not write a credential into a record or an error. */
export interface Withheld {
  inBytes(bytes: Buffer): Buffer;
  inText(text: string): string;
  /** In one JSON text, which stays one: names and values that are texts, and nothing between them. */
  inJson(bytes: Buffer): Buffer;
}

export const nothingWithheld: Withheld = {
  inBytes: bytes => bytes,
  inText: text => text,
  inJson: bytes => bytes,
};

/**
 * Of headers as they were sent: as a whole and what stands behind the scheme (`Bearer x`, `Token x`), the password of `Basic` by itself, and each
 * long line; as they are and as they stand in addresses, in JSON, and in JSON within JSON. What is shorter than `shortest` characters, six by
 * default, stands in many texts and is left; what is one word of at most twenty letters is left where it is the scheme of an address and, in JSON,
 * a name or a method. No lines are taken of what is JSON: they stand in other texts rightly, and whoever shows it also
 * gives the credentials within.
 */
export function withholdCredentials(
  headers: Iterable<string>,
  { shortest = 6 }: { readonly shortest?: number } = {},
): Withheld {
  const shown = [...new Set([...headers].flatMap(shownBy).flatMap(withLines))]
    .filter(text => text.length >= shortest)
    .sort((one, other) => other.length - one.length); // one may be a part of another
  if (shown.length === 0) return nothingWithheld;
  const probes = [...new Set(shown.map(probeOf))];
  const isPossible = probes.includes(undefined)
    ? () => true
    : (bytes: Buffer) => probes.some(probe => probe !== undefined && bytes.includes(probe, 0, 'latin1'));
  const inAnyText = patternOf(shown, false);
  const inStrings = patternOf(shown, true);
  const replaced = (bytes: Buffer, replace: (text: string) => string): Buffer => {
    if (!isPossible(bytes)) return bytes;
    const text = bytes.toString('latin1');
    const rest = replace(text);
    return rest === text ? bytes : Buffer.from(rest, 'latin1');
  };
  const inText = (text: string) => text.replace(inAnyText(), instead);
  return {
    inText,
    inBytes: bytes => replaced(bytes, inText),
    inJson: bytes => replaced(bytes, text => insideStrings(text, inStrings(), instead)),
  };
}

/** What is the same however the text is written: most messages are looked through once for it, and hold none. */
function probeOf(text: string): string | undefined {
  const runs = text.match(/[A-Za-z0-9]+/g) ?? [];
  const [longest = ''] = runs.sort((one, other) => other.length - one.length);
  return longest.length < shortestProbe ? undefined : longest;
}

/** A pattern for the ways texts are written, made when it is needed, which is seldom. */
function patternOf(texts: readonly string[], isInString: boolean): () => RegExp {
  let made: RegExp | undefined;
  return () => {
    made ??= new RegExp(texts.map(text => written(text, isInString)).join('|'), 'g');
    return made;
  };
}

/** Bytes are read as Latin-1, so what is beyond ASCII is its bytes in UTF-8, too. */
function written(text: string, isInString: boolean): string {
  const pieces = text.match(/[A-Za-z0-9]+|\\+[^A-Za-z0-9\\]?|./gsu) ?? [];
  const ways = pieces.map(piece => pieceWritten(piece, isInString)).join('');
  if (!/^[A-Za-z]+$/.test(text) || text.length > longestWord) return ways;
  return ways + notOfScheme + (isInString ? notOfName + notOfMethod : '');
}

// Without these an answer has no `result` any more when that is the password.
const notOfScheme = String.raw`(?!:\\{0,4}/\\{0,4}/)`;
const notOfName = String.raw`(?!(?<="[A-Za-z]{0,64})[A-Za-z]{0,64}"\s{0,8}:)`;
const notOfMethod = String.raw`(?<!"method"\s{0,8}:\s{0,8}"[A-Za-z/]{0,64})`;

/** Letters and digits; one other character; or backslashes with the character behind them, which may bring backslashes of its own. */
function pieceWritten(piece: string, isInString: boolean): string {
  if (/[A-Za-z0-9]/.test(piece)) return piece;
  const [, run = '', behind = ''] = /^(\\*)(.*)$/s.exec(piece) ?? [];
  const count = run.length;
  if (count === 0) return characterWritten(behind, isInString);
  // All of them at once: with one choice for each, or for where the next character begins, there would be far too many ways to fail.
  const encoded = `(?:%(?:25)?5[cC]|\\\\{1,4}u005[cC]){${count}}`;
  if (behind !== '') {
    const fewest = isInString ? 2 * count : count;
    const asRun = characterWritten(behind, isInString, { fewest, most: 8 * count });
    return `(?:${asRun}|${encoded}${characterWritten(behind, isInString)})`;
  }
  const doubled = `(?:\\\\\\\\){${count},${4 * count}}`;
  return `(?:${[doubled, encoded, ...(isInString ? [] : [`\\\\{${count}}`])].join('|')})`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;|&#34;',
  "'": '&#0?39;|&#x27;',
  ' ': '\\+',
};

/** RFC 8259, section 7. */
const shortEscapes: Readonly<Record<string, string>> = {
  '\n': 'n',
  '\t': 't',
  '\r': 'r',
  '\b': 'b',
  '\f': 'f',
};

interface Backslashes {
  readonly fewest: number;
  readonly most: number;
}

/** A character that is no backslash, behind `fewest` to `most` backslashes besides those that escape it. */
function characterWritten(
  character: string,
  isInString: boolean,
  { fewest, most }: Backslashes = { fewest: 0, most: 0 },
): string {
  const behind = (least: number, own: number) => `\\\\{${fewest + least},${most + own}}`;
  const asItIs = behind(isInString && character === '"' ? 1 : 0, 4) + RegExp.escape(character);
  const escaped = `${behind(1, 4)}(?:${escapesOf(character).join('|')})`;
  const encoded = `${behind(0, 0)}(?:${encodingsOf(character).join('|')})`;
  return `(?:${asItIs}|${escaped}|${encoded})`;
}

/** What stands behind the backslash. */
function escapesOf(character: string): string[] {
  const units = character.split('').map(unit => `u${hex(unit.charCodeAt(0), 4)}`);
  const shortEscape = shortEscapes[character];
  return [units.join('\\\\{1,4}'), ...(shortEscape === undefined ? [] : [shortEscape])];
}

function encodingsOf(character: string): string[] {
  const bytes = [...Buffer.from(character)];
  const inAddress = bytes.map(byte => `%(?:25)?${hex(byte, 2)}`).join('');
  const inLatin1 = bytes.map(byte => RegExp.escape(String.fromCharCode(byte))).join('');
  const entity = entities[character];
  return [inAddress, ...(bytes.length > 1 ? [inLatin1] : []), ...(entity === undefined ? [] : [entity])];
}

/** In either case of its letters. */
function hex(value: number, digits: number): string {
  return value
    .toString(16)
    .padStart(digits, '0')
    .replace(/[a-f]/g, letter => `[${letter}${letter.toUpperCase()}]`);
}

function shownBy(header: string): string[] {
  const [, scheme = '', credentials = header] = /^(\S*) +(.*)$/s.exec(header) ?? [];
  if (/^bearer$/i.test(scheme)) return [credentials];
  if (/^digest$/i.test(scheme)) return []; // good for one request
  if (!/^basic$/i.test(scheme)) return [header, credentials];
  const pair = Buffer.from(credentials, 'base64').toString();
  return [credentials, pair.slice(pair.indexOf(':') + 1)];
}

/** Not what frames a key (RFC 7468), which is the same in all. */
function withLines(text: string): string[] {
  const trimmed = text.trim(); // many files end with a line break
  if (isJson(trimmed)) return [text, trimmed];
  const lines = trimmed.split(/[\r\n]+/).map(line => line.trim());
  return [text, trimmed, ...lines.filter(line => line.length >= shortestLine && !line.endsWith('-----'))];
}

/** An object or a list. */
function isJson(text: string): boolean {
  if (!/^[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
