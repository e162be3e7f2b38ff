/**
 * What a caller may use. Each list holds globs over names (`*` matches any run of characters, everything else is literal). A glob behind
 * `!` forbids: a name is allowed when some glob allows it and none forbids it, wherever in the list they stand. `['*']` is everything,
 * `[]` is nothing. There is no value that means "no filter" (S-2).
 */
export interface Scopes {
  /** Aliases of ai-gateway. */
  readonly models: readonly string[];
  /** Servers of mcp-gateway. */
  readonly servers: readonly string[];
  /** Exposed names: `server__tool`. */
  readonly tools: readonly string[];
  readonly agents: readonly string[];
  /** `namespace/name`. */
  readonly workflows: readonly string[];
}

export const scopeKinds = ['models', 'servers', 'tools', 'agents', 'workflows'] as const;
export type ScopeKind = (typeof scopeKinds)[number];

export const allScopes: Scopes = {
  models: ['*'],
  servers: ['*'],
  tools: ['*'],
  agents: ['*'],
  workflows: ['*'],
};
export const noScopes: Scopes = { models: [], servers: [], tools: [], agents: [], workflows: [] };

/**
 * Scopes as they were written down, perhaps before there were servers and agents: tools alone named their servers then, and only workflows
 * could be reached as agents.
 */
export function readScopes(written: Partial<Scopes>): Scopes {
  const { models = [], tools = [], workflows = [] } = written;
  return { models, servers: written.servers ?? ['*'], tools, agents: written.agents ?? workflows, workflows };
}

/** Whether the globs allow the whole name. No regular expression is built; cost is at most pattern × name. */
export function matchesScope(patterns: readonly string[], name: string): boolean {
  let isAllowed = false;
  for (const pattern of patterns) {
    if (pattern === '*') {
      isAllowed = true;
    } else if (pattern.charCodeAt(0) === denyMark) {
      if (matchesGlob(pattern, 1, name)) return false;
    } else {
      isAllowed ||= matchesGlob(pattern, 0, name);
    }
  }
  return isAllowed;
}

const denyMark = '!'.charCodeAt(0);

function isDenial(pattern: string): boolean {
  return pattern.charCodeAt(0) === denyMark;
}

/** The globs that allow something, without those that forbid. */
export function allowingGlobs(patterns: readonly string[]): string[] {
  return patterns.filter(pattern => !isDenial(pattern));
}

/** The same globs, less what `denied` matches. */
export function withDenied(patterns: readonly string[], denied: readonly string[]): string[] {
  return [...patterns, ...denied.map(pattern => `!${pattern}`)];
}

function matchesGlob(pattern: string, start: number, name: string): boolean {
  let patternIndex = start;
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
 * Scopes that both sides allow, as globs: an allowing glob of one side survives when one of the other side covers it, and whatever either
 * side forbids stays forbidden. The result never allows a name that either side refuses (W7); two globs that only partly overlap yield
 * nothing, which is the safe direction.
 */
export function intersectScopes(left: Scopes, right: Scopes): Scopes {
  if (left === allScopes) return right;
  if (right === allScopes) return left;
  return {
    models: intersectPatterns(left.models, right.models),
    servers: intersectPatterns(left.servers, right.servers),
    tools: intersectPatterns(left.tools, right.tools),
    agents: intersectPatterns(left.agents, right.agents),
    workflows: intersectPatterns(left.workflows, right.workflows),
  };
}

export function intersectPatterns(left: readonly string[], right: readonly string[]): string[] {
  const kept = new Set<string>();
  const keepCovered = (patterns: readonly string[], others: readonly string[]) => {
    for (const pattern of patterns) {
      const isKept =
        isDenial(pattern) || others.some(other => !isDenial(other) && matchesGlob(other, 0, pattern));
      if (isKept) kept.add(pattern);
    }
  };
  keepCovered(left, right);
  keepCovered(right, left);
  return [...kept];
}
