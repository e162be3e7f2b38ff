/**
 * What a caller may use. Each list holds globs over names (`*` matches any run of characters, everything else
 * is literal): `['*']` is everything, `[]` is nothing. There is no value that means "no filter" (S-2). A glob after `!`
 * takes names away again, wherever it stands: `['*', '!files__write*']`.
 */
export interface Scopes {
  readonly models: readonly string[];
  readonly tools: readonly string[];
  readonly workflows: readonly string[];
}

export const allScopes: Scopes = { models: ['*'], tools: ['*'], workflows: ['*'] };
export const noScopes: Scopes = { models: [], tools: [], workflows: [] };

const denial = '!';

/**
 * Whether one of the globs matches the whole name and none of those after `!` does. No regular expression is built; cost is at most
 * pattern × name.
 */
export function matchesScope(patterns: readonly string[], name: string): boolean {
  let isAllowed = false;
  for (const pattern of patterns) {
    if (pattern.startsWith(denial)) {
      if (matchesGlob(pattern.slice(denial.length), name)) return false;
    } else {
      isAllowed ||= matchesGlob(pattern, name);
    }
  }
  return isAllowed;
}

/** The globs that allow something, without those that take away. */
export function allowingGlobs(patterns: readonly string[]): string[] {
  return patterns.filter(pattern => !pattern.startsWith(denial));
}

/** The same globs, less what `denied` matches. */
export function withDenied(patterns: readonly string[], denied: readonly string[]): string[] {
  return [...patterns, ...denied.map(pattern => denial + pattern)];
}

function matchesGlob(pattern: string, name: string): boolean {
  let patternIndex = 0;
  let nameIndex = 0;
  let starIndex = -1;
  let retryAt = 0;
  while (nameIndex < name.length) {
    if (pattern[patternIndex] === '*') {
      starIndex = patternIndex++;
      retryAt = nameIndex;
    } else if (pattern[patternIndex] === name[nameIndex]) {
      patternIndex++;
      nameIndex++;
    } else if (starIndex !== -1) {
      patternIndex = starIndex + 1;
      nameIndex = ++retryAt;
    } else {
      return false;
    }
  }
  while (pattern[patternIndex] === '*') patternIndex++;
  return patternIndex === pattern.length;
}

/**
 * Scopes that both sides allow, as globs: a pattern of one side survives when the other side covers it.
 * The result never allows a name that either side refuses (W7); two globs that only partly overlap yield nothing,
 * which is the safe direction.
 */
export function intersectScopes(left: Scopes, right: Scopes): Scopes {
  return {
    models: intersectPatterns(left.models, right.models),
    tools: intersectPatterns(left.tools, right.tools),
    workflows: intersectPatterns(left.workflows, right.workflows),
  };
}

export function intersectPatterns(left: readonly string[], right: readonly string[]): string[] {
  const kept = new Set<string>();
  for (const pattern of allowingGlobs(left)) if (matchesScope(right, pattern)) kept.add(pattern);
  for (const pattern of allowingGlobs(right)) if (matchesScope(left, pattern)) kept.add(pattern);
  for (const pattern of [...left, ...right]) if (pattern.startsWith(denial)) kept.add(pattern);
  return [...kept];
}
