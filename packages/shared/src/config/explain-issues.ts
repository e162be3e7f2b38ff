import type { z } from 'zod';
import { isMap } from './environment.ts';
import { type ConfigProblem, nearestName } from './problem.ts';
import { keysAt, type PathSegment, type SchemaShape, shapesAt } from './schema-shape.ts';

type Issue = z.core.$ZodIssue;

/** Says every validation issue as a person would: where, what was found, what was expected, what was probably meant. */
export function explainIssues(issues: readonly Issue[], value: unknown, shape: SchemaShape): ConfigProblem[] {
  return issues.flatMap(issue => explain(issue, [], value, shape));
}

function explain(
  issue: Issue,
  prefix: readonly PathSegment[],
  value: unknown,
  shape: SchemaShape,
): ConfigProblem[] {
  const path = [
    ...prefix,
    ...issue.path.map(segment => (typeof segment === 'symbol' ? segment.toString() : segment)),
  ];
  const found = valueAt(value, path);
  const problem = (message: string, nearest?: string): ConfigProblem => ({
    path: path.join('.'),
    origin: undefined,
    message,
    nearest,
  });
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map(key => ({
        path: [...path, key].join('.'),
        origin: undefined,
        message: 'unknown key',
        nearest: nearestName(key, keysAt(shape, path)),
      }));
    case 'invalid_type':
      if (found === undefined) return [problem(`missing; expected ${inYaml(issue.expected)}`)];
      return [problem(`found ${show(found, shape, path)}, expected ${inYaml(issue.expected)}`)];
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      const nearest = typeof found === 'string' ? nearestName(found, allowed) : undefined;
      return [problem(`found ${show(found, shape, path)}, expected ${oneOf(allowed)}`, nearest)];
    }
    case 'invalid_union':
      return explainUnion(issue, path, value, shape, problem);
    case 'invalid_key':
      return [
        problem(
          `the name '${String(path.at(-1))}' is not allowed: ${issue.issues.map(each => each.message).join('; ')}`,
        ),
      ];
    default:
      return [
        problem(found === undefined ? issue.message : `found ${show(found, shape, path)}: ${issue.message}`),
      ];
  }
}

function explainUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: readonly PathSegment[],
  value: unknown,
  shape: SchemaShape,
  problem: (message: string, nearest?: string) => ConfigProblem,
): ConfigProblem[] {
  if (issue.discriminator !== undefined) {
    const key = issue.discriminator;
    const written = valueAt(value, [...path.slice(0, path.at(-1) === key ? -1 : undefined), key]);
    const base = path.at(-1) === key ? path.slice(0, -1) : path;
    const allowed = shapesAt(shape, [...base, key]).flatMap(option =>
      option.const === undefined ? [] : [String(option.const)],
    );
    const nearest = typeof written === 'string' ? nearestName(written, allowed) : undefined;
    return [
      {
        ...problem(`found ${show(written, shape, [...base, key])}, expected ${oneOf(allowed)}`, nearest),
        path: [...base, key].join('.'),
      },
    ];
  }
  // The branch with the fewest complaints is the one that was meant.
  const branches = issue.errors
    .filter(branch => branch.length > 0)
    .sort((left, right) => weigh(left) - weigh(right));
  const [closest] = branches;
  if (closest === undefined) return [problem(issue.message)];
  return closest.flatMap(each => explain(each, path, value, shape));
}

function weigh(branch: readonly Issue[]): number {
  return branch.reduce((sum, issue) => sum + (issue.path.length === 0 ? 10 : 1), 0);
}

function valueAt(value: unknown, path: readonly PathSegment[]): unknown {
  let node = value;
  for (const segment of path) {
    if (Array.isArray(node)) node = node[Number(segment)];
    else if (isMap(node)) node = node[String(segment)];
    else return undefined;
  }
  return node;
}

/** The value as it was written, cut short; what a schema calls secret is never shown. */
function show(value: unknown, shape: SchemaShape, path: readonly PathSegment[]): string {
  if (shapesAt(shape, path).some(option => option.secret === true)) return `a ${typeName(value)}`;
  if (typeof value === 'object' && value !== null) return `a ${typeName(value)}`;
  const text = JSON.stringify(value) ?? 'nothing';
  return `${text.length > 60 ? `${text.slice(0, 57)}…` : text} (${typeName(value)})`;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'list';
  return typeof value === 'object' ? 'map' : typeof value;
}

/** A type of the schema, as whoever writes YAML calls it. */
function inYaml(type: string): string {
  if (type === 'array' || type === 'tuple') return 'list';
  return type === 'object' || type === 'record' ? 'map' : type;
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? `'${values[0]}'` : `one of ${values.map(each => `'${each}'`).join(', ')}`;
}
