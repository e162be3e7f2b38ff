import { type Document, LineCounter, type Node, parseDocument } from 'yaml';
import type * as z from 'zod';
import { isMap, type Overlay, readEnvironment, setAtPath } from './environment.ts';
import { explainIssues } from './explain-issues.ts';
import { ConfigError, type ConfigProblem } from './problem.ts';
import { type ReferenceSources, resolveReferences } from './references.ts';
import { shapeOf } from './schema-shape.ts';

export interface ConfigText {
  /** Shown in messages: `strata.yaml`. */
  readonly source: string;
  readonly text: string;
}

/**
 * Turns the file and the environment into a typed configuration. Nothing is accepted by half: all mistakes of all kinds
 * (syntax, unknown keys, wrong types, references) are found in one pass and thrown together.
 *
 * @throws ConfigError with every problem.
 */
export function loadConfig<Schema extends z.ZodType>(
  schema: Schema,
  file: ConfigText,
  sources: ReferenceSources,
): z.output<Schema> {
  const lines = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const problems = explainSyntax(document, lines);
  if (problems.length > 0) throw new ConfigError(file.source, problems);

  const raw = readDocument(document, file.source);
  const shape = shapeOf(schema);
  const environment = readEnvironment(sources.env, shape, raw);
  for (const overlay of environment.overlays) setAtPath(raw, overlay.path, overlay.value);
  const resolved = resolveReferences(raw, sources);
  problems.push(...environment.problems, ...resolved.problems);

  const parsed = schema.safeParse(resolved.value);
  if (!parsed.success) problems.push(...explainIssues(parsed.error.issues, resolved.value, shape));
  if (problems.length === 0 && parsed.success) return parsed.data;

  const locate = createLocator(environment.overlays, (path: readonly (string | number)[]) => {
    const node = document.getIn(path, true) as Node | undefined;
    const start = node?.range?.[0];
    return start === undefined ? undefined : lines.linePos(start).line;
  });
  throw new ConfigError(
    file.source,
    problems.map(problem => ({ ...problem, origin: problem.origin ?? locate(problem.path) })),
  );
}

/** One problem a line: what follows the first mistake on a line is mostly its echo. */
function explainSyntax(document: Document, lines: LineCounter): ConfigProblem[] {
  const byLine = new Map<number, string>();
  for (const error of document.errors) {
    const { line } = lines.linePos(error.pos[0]);
    if (!byLine.has(line)) byLine.set(line, error.message);
  }
  return [...byLine].map(([line, message]) => ({ path: '', origin: `line ${line}`, message }));
}

/** Aliases are expanded here, so a missing anchor and an alias bomb show here. */
function readDocument(document: Document, source: string): Record<string, unknown> {
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    throw new ConfigError(source, [
      { path: '', origin: undefined, message: error instanceof Error ? error.message : 'unreadable' },
    ]);
  }
  if (!isMap(raw)) {
    throw new ConfigError(source, [
      { path: '', origin: undefined, message: 'the file must be a map of sections' },
    ]);
  }
  return raw;
}

/** Says where a path was written: the variable that set it or something above it, else the nearest line in the file. */
function createLocator(
  overlays: readonly Overlay[],
  lineOf: (path: readonly (string | number)[]) => number | undefined,
) {
  return (path: string): string | undefined => {
    const variable = overlays.find(overlay => `${path}.`.startsWith(`${overlay.path.join('.')}.`))?.variable;
    if (variable !== undefined) return variable;
    const segments = path.split('.').map(segment => (/^\d+$/.test(segment) ? Number(segment) : segment));
    for (let length = segments.length; length > 0; length--) {
      const line = lineOf(segments.slice(0, length));
      if (line !== undefined) return `line ${line}`;
    }
    return undefined;
  };
}
