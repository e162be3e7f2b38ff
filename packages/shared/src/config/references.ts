import { readFileSync } from 'node:fs';
import type { ConfigProblem } from './problem.ts';

const referencePattern = /\$\{(env|file):([^}]*)\}/g;
const maxSecretFileBytes = 64 * 1024;

export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile?: (path: string) => string;
}

/** Replaces `${env:NAME}` and `${file:/path}` in every text of the tree. Every reference that fails is reported. */
export function resolveReferences(
  value: unknown,
  sources: ReferenceSources,
  path: readonly (string | number)[] = [],
): { value: unknown; problems: ConfigProblem[] } {
  const problems: ConfigProblem[] = [];
  const walk = (node: unknown, at: readonly (string | number)[]): unknown => {
    if (typeof node === 'string') return replaceIn(node, sources, at.join('.'), problems);
    if (Array.isArray(node)) return node.map((item, index) => walk(item, [...at, index]));
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child, [...at, key])]));
  };
  return { value: walk(value, path), problems };
}

function replaceIn(text: string, sources: ReferenceSources, path: string, problems: ConfigProblem[]): string {
  return text.replaceAll(referencePattern, (whole, kind: string, name: string) => {
    const found = kind === 'env' ? readVariable(name, sources) : readSecretFile(name, sources);
    if (typeof found === 'string') return found;
    problems.push({ path, origin: undefined, message: `${whole} ${found.problem}` });
    return whole;
  });
}

type Found = string | { readonly problem: string };

function readVariable(name: string, sources: ReferenceSources): Found {
  const value = sources.env[name];
  if (value === undefined) return { problem: 'is not set in the environment' };
  return value === '' ? { problem: 'is set but empty' } : value;
}

function readSecretFile(path: string, sources: ReferenceSources): Found {
  if (!path.startsWith('/')) return { problem: 'must be an absolute path' };
  try {
    const text = (sources.readFile ?? readText)(path);
    if (text.length > maxSecretFileBytes) return { problem: `is larger than ${maxSecretFileBytes} bytes` };
    const trimmed = text.replace(/\r?\n$/, '');
    return trimmed === '' ? { problem: 'is empty' } : trimmed;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unreadable';
    return { problem: `cannot be read (${String(code)})` };
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
