/** A tool call written in a prompt. `json` may hold `{{result}}`, which the last tool result replaces. */
export interface ScriptedCall {
  readonly name: string;
  readonly json: string;
}

/** What a prompt says about the answer it wants, in `[[name: value]]` brackets. The README lists them. */
export interface Directives {
  readonly say: string | undefined;
  readonly words: number | undefined;
  readonly think: string | undefined;
  readonly json: string | undefined;
  /** The text of the refusal. */
  readonly refuse: string | undefined;
  readonly stop: 'length' | 'filter' | undefined;
  /** One entry for each time the model is asked: the calls it makes then. */
  readonly steps: readonly (readonly ScriptedCall[])[];
  readonly cachedTokens: number | undefined;
  readonly cacheWriteTokens: number | undefined;
  readonly faults: readonly string[];
  /** Whether there was any. */
  readonly isScripted: boolean;
  /** The prompt without its brackets. */
  readonly rest: string;
}

const none: Omit<Directives, 'rest'> = {
  say: undefined,
  words: undefined,
  think: undefined,
  json: undefined,
  refuse: undefined,
  stop: undefined,
  steps: [],
  cachedTokens: undefined,
  cacheWriteTokens: undefined,
  faults: [],
  isScripted: false,
};

const opening = /\[\[\s*(say|words|think|json|refuse|stop|tools?|cached|cache_write|fault)\s*(:|\]\])/g;

/** Reads the directives of a prompt. Brackets that are none of ours stay in the text. */
export function parseDirectives(prompt: string): Directives {
  if (!prompt.includes('[[')) return { ...none, rest: prompt };
  const found: { -readonly [Key in keyof Directives]: Directives[Key] } = { ...none, rest: '' };
  const steps: ScriptedCall[][] = [];
  const faults: string[] = [];
  let readTo = 0;
  opening.lastIndex = 0;
  for (let match = opening.exec(prompt); match; match = opening.exec(prompt)) {
    const name = match[1] ?? '';
    const bodyStart = match.index + match[0].length;
    const hasBody = match[2] === ':';
    const bodyEnd = hasBody ? endOfBody(prompt, bodyStart) : bodyStart;
    if (bodyEnd === -1) break;
    const body = hasBody ? prompt.slice(bodyStart, bodyEnd).trim() : '';
    found.isScripted = true;
    found.rest += prompt.slice(readTo, match.index);
    readTo = hasBody ? bodyEnd + 2 : bodyEnd;
    opening.lastIndex = readTo;
    if (name === 'tool') steps.push([readCall(body)]);
    else if (name === 'tools') steps.push(splitCalls(body).map(readCall));
    else if (name === 'fault') faults.push(body);
    else if (name === 'words') found.words = Number.parseInt(body, 10) || 0;
    else if (name === 'cached') found.cachedTokens = Number.parseInt(body, 10) || 0;
    else if (name === 'cache_write') found.cacheWriteTokens = Number.parseInt(body, 10) || 0;
    else if (name === 'stop') found.stop = body === 'filter' ? 'filter' : 'length';
    else if (name === 'refuse') found.refuse = body || 'I cannot help with that.';
    else if (name === 'say' || name === 'think' || name === 'json') found[name] = body;
  }
  found.rest += prompt.slice(readTo);
  return { ...found, steps, faults, rest: found.rest.trim() };
}

/** Where `]]` closes the body that starts at `start`, past any JSON in it; -1 when nothing closes it. */
function endOfBody(text: string, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length; index++) {
    const char = text[index];
    if (depth > 0 && char === '"') {
      index = endOfString(text, index);
    } else if (char === '{') {
      depth++;
    } else if (char === '}') {
      depth = Math.max(0, depth - 1);
    } else if (depth === 0 && char === ']' && text[index + 1] === ']') {
      return index;
    }
  }
  return text.indexOf(']]', start);
}

function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    if (text[index] === '\\') index++;
    else if (text[index] === '"') return index;
  }
  return text.length;
}

/** `a {…} ; b {…}`, parted at the semicolons outside JSON. */
function splitCalls(body: string): string[] {
  const calls: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < body.length; index++) {
    const char = body[index];
    if (depth > 0 && char === '"') index = endOfString(body, index);
    else if (char === '{') depth++;
    else if (char === '}') depth--;
    else if (char === ';' && depth === 0) {
      calls.push(body.slice(start, index));
      start = index + 1;
    }
  }
  calls.push(body.slice(start));
  return calls.map(call => call.trim()).filter(call => call !== '');
}

function readCall(text: string): ScriptedCall {
  const space = text.search(/[\s{]/);
  if (space === -1) return { name: text, json: '{}' };
  return { name: text.slice(0, space), json: text.slice(space).trim() };
}
