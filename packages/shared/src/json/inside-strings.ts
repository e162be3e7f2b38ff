const quote = 0x22;
const backslash = 0x5c;
const letterU = 0x75;

/**
 * Puts `instead` in the place of what matches inside the strings of a JSON text. What would begin or end within an escape, or leads out of
 * its string, stays: the text is valid JSON before and after. `pattern` has the flag `g`.
 */
export function insideStrings(json: string, pattern: RegExp, instead: string): string {
  const parts: string[] = [];
  let writtenTo = 0;
  let at = 0;
  let isInside = false;
  pattern.lastIndex = 0;
  for (let found = pattern.exec(json); found !== null; found = pattern.exec(json)) {
    const { index } = found;
    const end = index + found[0].length;
    for (; at < index; at = afterUnit(json, at, isInside)) if (isQuote(json, at)) isInside = !isInside;
    if (!isInside || at !== index || !isWithinString(json, index, end)) {
      pattern.lastIndex = index + 1;
      continue;
    }
    parts.push(json.slice(writtenTo, index), instead);
    writtenTo = end;
    at = end;
  }
  return parts.join('') + json.slice(writtenTo);
}

function isQuote(json: string, at: number): boolean {
  return json.charCodeAt(at) === quote;
}

/** Where the next character or escape begins. */
function afterUnit(json: string, at: number, isInside: boolean): number {
  if (!isInside || json.charCodeAt(at) !== backslash) return at + 1;
  return at + (json.charCodeAt(at + 1) === letterU ? 6 : 2);
}

function isWithinString(json: string, start: number, end: number): boolean {
  let at = start;
  while (at < end && !isQuote(json, at)) at = afterUnit(json, at, true);
  return at === end;
}
