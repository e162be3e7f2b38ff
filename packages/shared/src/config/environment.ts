import { parse as parseYaml } from 'yaml';
import { type ConfigProblem, nearestName } from './problem.ts';
import { keysAt, type SchemaShape, shapesAt } from './schema-shape.ts';

const prefix = 'STRATA_';

/** Read by the program itself before any configuration exists. */
const reserved = new Set(['STRATA_CONFIG']);

export interface Overlay {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly variable: string;
}

/**
 * Reads `STRATA_AI_GATEWAY__LISTEN__PORT=4100` as `ai_gateway.listen.port: 4100`. Two underscores separate keys. A value
 * for text is taken as it is; every other value is read as YAML, so a whole map can be given at once.
 */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  shape: SchemaShape,
  document: unknown,
): { overlays: Overlay[]; problems: ConfigProblem[] } {
  const overlays: Overlay[] = [];
  const problems: ConfigProblem[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || reserved.has(variable) || text === undefined) continue;
    const path = matchPath(variable.slice(prefix.length).toLowerCase().split('__'), shape, document);
    const shapes = shapesAt(shape, path);
    if (shapes.length === 0) {
      problems.push(unknownVariable(variable, path, shape));
      continue;
    }
    try {
      overlays.push({ path, value: readValue(text, shapes), variable });
    } catch {
      problems.push({ path: path.join('.'), origin: variable, message: 'the value is not valid YAML' });
    }
  }
  return { overlays, problems };
}

/** Names in maps keep the spelling they have in the file: `MY_MODEL` finds `my-model`. */
function matchPath(segments: readonly string[], shape: SchemaShape, document: unknown): string[] {
  const path: string[] = [];
  let node: unknown = document;
  for (const segment of segments) {
    const known = [...keysAt(shape, path), ...(isMap(node) ? Object.keys(node) : [])];
    const key = known.find(name => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '_') === segment) ?? segment;
    path.push(key);
    node = isMap(node) ? node[key] : undefined;
  }
  return path;
}

function readValue(text: string, shapes: readonly SchemaShape[]): unknown {
  const isText = shapes.every(shape => shape.type === 'string' || typeof shape.const === 'string');
  return isText ? text : parseYaml(text);
}

function unknownVariable(variable: string, path: readonly string[], shape: SchemaShape): ConfigProblem {
  let depth = path.length - 1;
  while (depth > 0 && shapesAt(shape, path.slice(0, depth)).length === 0) depth--;
  const known = keysAt(shape, path.slice(0, depth));
  const nearest = nearestName(path[depth] ?? '', known);
  const suggestion =
    nearest === undefined
      ? undefined
      : [...path.slice(0, depth), nearest, ...path.slice(depth + 1)].join('__').toUpperCase();
  return {
    path: path.join('.'),
    origin: variable,
    message: 'the variable names no configuration key',
    nearest: suggestion === undefined ? undefined : prefix + suggestion,
  };
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Sets a value inside plain data, making maps on the way. Arrays are changed in place by index. */
export function setAtPath(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let node: Record<string, unknown> = root;
  for (const segment of path.slice(0, -1)) {
    const child = node[segment];
    if (Array.isArray(child)) {
      node = child as unknown as Record<string, unknown>; // an array is addressed by its index as a key
      continue;
    }
    if (isMap(child)) {
      node = child;
      continue;
    }
    const made: Record<string, unknown> = {};
    node[segment] = made;
    node = made;
  }
  const last = path.at(-1);
  if (last !== undefined) node[last] = value;
}
