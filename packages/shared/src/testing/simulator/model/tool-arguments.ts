import type { JsonSchema } from './conversation.ts';
import { instanceOf, isObject } from './schema-instance.ts';

/** What the arguments of a call are read from. */
export interface ArgumentSource {
  /** The part of the prompt that asks for the call. */
  readonly text: string;
  /** The text of the latest tool results, if any: what "the result" in a prompt means. */
  readonly latestResult: string | undefined;
  /** Whether a text argument may be whatever follows the verb. */
  readonly takesRest: boolean;
}

export interface FilledArguments {
  readonly value: Record<string, unknown>;
  /** Whether the prompt gave every required argument. */
  readonly isComplete: boolean;
}

/** Fills a tool's arguments from the words of a prompt: paths, URLs, numbers, quoted strings, `name: value` and `name=value`. */
export function fillArguments(schema: JsonSchema | undefined, source: ArgumentSource): FilledArguments {
  const properties = schema && isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema?.required) ? schema.required : [];
  const words = createWords(source);
  const value: Record<string, unknown> = {};
  let isComplete = true;
  for (const [name, property] of Object.entries(properties)) {
    const shape = isObject(property) ? property : {};
    const isRequired = required.includes(name);
    const given = words.named(name, shape) ?? (isRequired ? words.guess(name, shape) : undefined);
    if (given !== undefined) value[name] = given;
    else if (isRequired) {
      value[name] = instanceOf(shape);
      isComplete = false;
    }
  }
  return { value, isComplete };
}

interface Words {
  /** A value that the prompt gives under the argument's own name. */
  named(name: string, shape: JsonSchema): unknown;
  /** The next value in the prompt that looks like this argument. Each is used once. */
  guess(name: string, shape: JsonSchema): unknown;
}

const quotedPattern = /"([^"]*)"|`([^`]*)`|'([^']*)'(?=[\s.,;:!?)]|$)/g;
const urlPattern = /https?:\/\/[^\s"'`<>]+[^\s"'`<>.,;:!?)]/g;
const pathPattern = /(?:\.{0,2}\/[\w.@~-]+(?:\/[\w.@~-]+)*\/?|\b[\w-]+(?:\/[\w-]+)*\.[a-z]\w{0,7}\b)/gi;
const numberPattern = /(?<![\w./-])-?\d+(?:\.\d+)?(?![\w/]|\.\d)/g;
const placePattern =
  /\b(?:in|at|for|from|of)\s+(?:the\s+)?((?:\p{Lu}[\p{L}'-]+)(?:[\s,]+\p{Lu}[\p{L}'-]+)*)/gu;

function createWords({ text, latestResult, takesRest }: ArgumentSource): Words {
  const found = {
    quoted: [...text.matchAll(quotedPattern)].map(match => match[1] ?? match[2] ?? match[3] ?? ''),
    urls: text.match(urlPattern) ?? [],
    paths: (text.replace(urlPattern, ' ').match(pathPattern) ?? []).map(path => path.replace(/[.]+$/, '')),
    numbers: (text.match(numberPattern) ?? []).map(Number),
    places: [...text.matchAll(placePattern)].map(match => match[1] ?? ''),
  };
  const takePath = () => {
    const path = found.paths.shift();
    const at = path === undefined ? -1 : found.quoted.indexOf(path);
    if (at !== -1) found.quoted.splice(at, 1);
    return path;
  };
  const guessString = (name: string): string | undefined => {
    if (/path|file|dir|folder|^(source|destination|src|dest|target|from|to)$/i.test(name)) return takePath();
    if (/ur[il]|link|href/i.test(name)) return found.urls.shift() ?? takePath();
    if (/cit(y|ies)|location|place|country|region/i.test(name))
      return found.places.shift() ?? found.quoted.shift();
    if (/content|body|data/i.test(name)) return found.quoted.shift() ?? latestResult;
    return found.quoted.shift() ?? (takesRest ? restOf(text) : undefined);
  };
  return {
    named: (name, shape) => {
      const pattern = new RegExp(
        `(?<![\\w-])${escapePattern(name)}\\s*(?::|=|\\bis\\b)\\s*("[^"]*"|[^\\s,;]+)`,
        'i',
      );
      const value = pattern
        .exec(text)?.[1]
        ?.replace(/^"|"$/g, '')
        .replace(/[.!?]$/, '');
      return value === undefined ? undefined : convert(value, shape);
    },
    guess: (name, shape) => {
      const options = Array.isArray(shape.enum)
        ? shape.enum.filter(option => typeof option === 'string')
        : undefined;
      if (options) return options.find(option => text.toLowerCase().includes(option.toLowerCase()));
      const type = typeOf(shape);
      if (type === 'number') return found.numbers.shift();
      if (type === 'integer') return takeInteger(found.numbers);
      if (type === 'string') return guessString(name);
      if (type === 'array') return guessArray(name, shape, found, guessString);
      return undefined;
    },
  };
}

function guessArray(
  name: string,
  shape: JsonSchema,
  found: { readonly numbers: number[]; readonly quoted: string[] },
  guessString: (name: string) => string | undefined,
): unknown {
  const items = isObject(shape.items) ? typeOf(shape.items) : 'string';
  if (items === 'number' || items === 'integer') return found.numbers.length > 0 ? found.numbers : undefined;
  if (items !== 'string') return undefined;
  if (found.quoted.length > 0) return found.quoted;
  const only = guessString(name);
  return only === undefined ? undefined : [only];
}

/** The type a schema names, in lower case (Gemini writes `STRING`); a type that is no text is none. */
function typeOf(shape: JsonSchema): string {
  const type: unknown = Array.isArray(shape.type) ? shape.type[0] : (shape.type ?? 'string');
  return typeof type === 'string' ? type.toLowerCase() : '';
}

function takeInteger(numbers: number[]): number | undefined {
  const at = numbers.findIndex(Number.isInteger);
  return at === -1 ? undefined : numbers.splice(at, 1)[0];
}

function convert(value: string, shape: JsonSchema): unknown {
  const type = typeOf(shape);
  if (type === 'number' || type === 'integer')
    return Number.isFinite(Number(value)) ? Number(value) : undefined;
  if (type === 'boolean') return /^(true|yes|on)$/i.test(value);
  return type === 'string' ? value : undefined;
}

/** What follows the verb or a colon: the message of "echo hello world". */
function restOf(text: string): string | undefined {
  const colon = /:\s+(\S[\s\S]*)$/.exec(text)?.[1];
  const rest = colon ?? text.trim().split(/\s+/).slice(1).join(' ');
  const trimmed = rest.trim().replace(/[.?!]$/, '');
  return trimmed === '' ? undefined : trimmed;
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
