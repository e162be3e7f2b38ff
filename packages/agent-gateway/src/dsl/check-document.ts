import { parseDuration } from '../domain/duration.ts';
import type { Mistakes } from './mistakes.ts';
import { cronProblem } from './next-time.ts';

const topLevel = new Set([
  'document',
  'input',
  'use',
  'do',
  'timeout',
  'output',
  'schedule',
  'evaluate',
  'metadata',
]);

const hostnameLike = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/i;
/** Semantic versioning 2.0.0. */
const semanticVersion =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

/** The document around the tasks: who it is, and what of the language is not run here. */
export function checkDocument(
  value: unknown,
  mistakes: Mistakes,
): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    mistakes.add('', 'Expected an object with `document` and `do`.');
    return false;
  }
  const members = value as Readonly<Record<string, unknown>>; // an object that is no array
  for (const key of Object.keys(members)) {
    if (!topLevel.has(key))
      mistakes.add(`/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, `'${key}' is not known here.`);
  }
  checkHead(members.document, mistakes);
  if (members.schedule !== undefined) checkSchedule(members.schedule, mistakes);
  checkEvaluate(members.evaluate, mistakes);
  return true;
}

/** Specification 1.0, "Schedule". */
function checkSchedule(schedule: unknown, mistakes: Mistakes): void {
  const members = typeof schedule === 'object' && schedule !== null ? Object.entries(schedule) : [];
  if (members.length !== 1)
    mistakes.add('/schedule', 'Expected an object with one of `cron`, `every`, `after` and `on`.');
  for (const [key, value] of members) {
    const problem = scheduleProblem(key, value);
    if (problem !== undefined) mistakes.add(`/schedule/${key}`, problem);
  }
}

function scheduleProblem(key: string, value: unknown): string | undefined {
  switch (key) {
    case 'cron':
      return cronProblem(String(value), 'UTC');
    case 'every': {
      const parsed = parseDuration(value);
      if ('problem' in parsed) return parsed.problem;
      return parsed.ms < 1000 ? 'An interval is at least a second.' : undefined;
    }
    case 'after': {
      const parsed = parseDuration(value);
      return 'problem' in parsed ? parsed.problem : undefined;
    }
    case 'on':
      return undefined; // its filters are checked with the expressions in them
    default:
      return `'${key}' is not known here.`;
  }
}

function checkHead(head: unknown, mistakes: Mistakes): void {
  if (typeof head !== 'object' || head === null) {
    mistakes.add('/document', 'Expected an object with dsl, namespace, name and version.');
    return;
  }
  const { dsl, namespace, name, version } = head as Readonly<Record<string, unknown>>; // checked above
  const check = (key: string, value: unknown, pattern: RegExp, expected: string) => {
    if (typeof value !== 'string' || !pattern.test(value))
      mistakes.add(`/document/${key}`, `Expected ${expected}.`);
  };
  check(
    'dsl',
    dsl,
    /^1\.0\.[0-3]$/,
    "a version of the language in quotes, '1.0.3' or one before it ('1.0.0')",
  );
  check('namespace', namespace, hostnameLike, 'letters, digits and hyphens, at most 63');
  check('name', name, hostnameLike, 'letters, digits and hyphens, at most 63');
  check('version', version, semanticVersion, "a semantic version in quotes, such as '1.0.0'");
}

function checkEvaluate(evaluate: unknown, mistakes: Mistakes): void {
  if (typeof evaluate !== 'object' || evaluate === null) return;
  const { language, mode } = evaluate as { language?: unknown; mode?: unknown }; // checked above
  if (language !== undefined && language !== 'jq')
    mistakes.add('/evaluate/language', 'The only expression language is jq.');
  if (mode !== undefined && mode !== 'strict')
    mistakes.add('/evaluate/mode', 'Only strict mode is supported: expressions stand in ${ }.');
}
