/** One mistake in a configuration: where, what was found, what was expected, and what was probably meant. */
export interface ConfigProblem {
  /** `ai_gateway.listen.port`; empty for the file as a whole. */
  readonly path: string;
  /** Line in the YAML file, or the environment variable that set the value. */
  readonly origin: string | undefined;
  readonly message: string;
  readonly nearest?: string | undefined;
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(source: string, problems: readonly ConfigProblem[]) {
    super(describeProblems(source, problems));
    this.problems = problems;
  }
}

function describeProblems(source: string, problems: readonly ConfigProblem[]): string {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const lines = problems.map(problem => {
    const where = problem.path === '' ? 'the file' : problem.path;
    const origin = problem.origin === undefined ? '' : ` (${problem.origin})`;
    const hint = problem.nearest === undefined ? '' : `; did you mean '${problem.nearest}'?`;
    return `  ${where}${origin}: ${problem.message}${hint}`;
  });
  return [`${source} has ${count}:`, ...lines].join('\n');
}

/** The known name closest to what was written, if it is close enough to be a slip of the hand. */
export function nearestName(written: string, known: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(written.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const name of known) {
    const distance = editDistance(written.toLowerCase(), name.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance; gives up with `limit` once it cannot be smaller. */
function editDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit;
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    if (Math.min(...current) >= limit) return limit;
    previous = current;
  }
  return previous[right.length] ?? limit;
}
