import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** The import rule of docs/architecture.md, read from the sources. */

const root = resolve(import.meta.dirname, '..');
const packages = join(root, 'packages');
const gateways = ['ai-gateway', 'mcp-gateway', 'agent-gateway'];

/** Folder of a gateway → folders of the same gateway that it may import. Files beside the folders wire everything. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  http: ['http', 'pipeline', 'bridge', 'domain', 'protocols', 'wire', 'dsl'],
  pipeline: ['pipeline', 'bridge', 'domain', 'protocols', 'wire'],
  domain: ['domain'],
  policies: ['policies', 'domain'],
  // ai-gateway
  sections: ['sections', 'domain'],
  protocols: ['protocols', 'domain'],
  providers: ['providers', 'protocols', 'domain'],
  // mcp-gateway
  wire: ['wire', 'domain'],
  bridge: ['bridge', 'wire', 'domain'],
  upstreams: ['upstreams', 'wire', 'domain'],
  // agent-gateway
  dsl: ['dsl', 'domain'],
  expressions: ['expressions', 'domain'],
  engine: ['engine', 'domain'],
  agents: ['agents', 'domain'],
  tasks: ['tasks', 'agents', 'domain'],
  journal: ['journal', 'domain'],
  a2a: ['a2a', 'domain'],
  store: ['store', 'domain'],
};

const forbiddenNames = new Set(['utils', 'helpers', 'common', 'manager', 'util', 'helper', 'misc']);

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** Absolute path when it stays in the workspace. */
  readonly target: string | undefined;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !name.split('/').includes('node_modules'))
    .map(name => join(folder, name));
}

const specifierPattern = /(?:^|[\s;}])(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;

function importsOf(file: string): Import[] {
  return [...readFileSync(file, 'utf8').matchAll(specifierPattern)].map(match => {
    const specifier = match[1] ?? '';
    return { file, specifier, target: resolveSpecifier(file, specifier) };
  });
}

function resolveSpecifier(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return resolve(dirname(file), specifier);
  const match = /^@strata\/([^/]+)\/(.+)$/.exec(specifier);
  return match ? join(packages, match[1] ?? '', 'src', match[2] ?? '') : undefined;
}

function place(path: string): { package: string; folder: string } {
  const [owner = '', source, folder = '', ...rest] = relative(packages, path).split('/');
  return { package: owner, folder: source === 'src' && rest.length > 0 ? folder : '(root)' };
}

const isTest = (file: string) => file.endsWith('.test.ts') || /\/(test|fixtures)\//.test(file);
const isTesting = (path: string) => path.startsWith(join(packages, 'shared/src/testing/'));

const all = sourceFiles(packages);
const product = all.filter(file => file.includes('/src/') && !isTest(file));
const show = (each: Import) => `${relative(root, each.file)} -> ${each.specifier}`;

test('the walk finds the source files of every package', () => {
  for (const name of ['shared', 'cli', ...gateways]) {
    expect(product.filter(file => place(file).package === name).length, name).toBeGreaterThan(3);
  }
});

test('shared imports no gateway, and a gateway imports no other gateway', () => {
  const offences = product.flatMap(importsOf).filter(each => {
    if (each.target === undefined) return false;
    const from = place(each.file).package;
    const to = place(each.target).package;
    if (from === to || to === 'shared') return false;
    return from !== 'cli';
  });
  expect(offences.map(show)).toEqual([]);
});

test('the command line reads gateways only through their configuration', () => {
  const offences = product
    .filter(file => place(file).package === 'cli')
    .flatMap(importsOf)
    .filter(each => each.target !== undefined && gateways.includes(place(each.target).package))
    .filter(each => !each.specifier.endsWith('/config.ts'));
  expect(offences.map(show)).toEqual([]);
});

test('imports point at the domain and at shared, never sideways', () => {
  const offences = product
    .filter(file => gateways.includes(place(file).package) && place(file).folder !== '(root)')
    .flatMap(importsOf)
    .filter(each => {
      if (each.target === undefined) return false;
      const from = place(each.file);
      const to = place(each.target);
      if (to.package !== from.package) return false;
      return !mayImport[from.folder]?.includes(to.folder);
    });
  expect(offences.map(show)).toEqual([]);
});

test('the tools of tests are imported by tests, benches and the simulator only', () => {
  const offences = product
    .filter(file => !isTesting(file))
    .flatMap(importsOf)
    .filter(each => each.target !== undefined && isTesting(each.target));
  expect(offences.map(show)).toEqual([]);
});

test('a package by name is reached through its name, not through the folders above', () => {
  const offences = all
    .flatMap(importsOf)
    .filter(each => each.specifier.startsWith('.') && each.target !== undefined)
    .filter(each => place(each.target ?? '').package !== place(each.file).package);
  expect(offences.map(show)).toEqual([]);
});

test('there are no import cycles', () => {
  const graph = new Map(
    product.map(file => [
      file,
      importsOf(file).flatMap(each => (each.target === undefined ? [] : [each.target])),
    ]),
  );
  expect(findCycles(graph).map(cycle => cycle.map(file => relative(packages, file)).join(' -> '))).toEqual(
    [],
  );
});

/** Cycles that hold at run time and at type level alike: a type that two files owe each other is one idea in two places. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const state = new Map<string, 'open' | 'done'>();
  const stack: string[] = [];
  const visit = (file: string): void => {
    if (state.get(file) === 'done' || !graph.has(file)) return;
    if (state.get(file) === 'open') {
      cycles.push([...stack.slice(stack.indexOf(file)), file]);
      return;
    }
    state.set(file, 'open');
    stack.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    stack.pop();
    state.set(file, 'done');
  };
  for (const file of graph.keys()) visit(file);
  return cycles;
}

test('no file or folder is called after nothing in particular, and none only re-exports', () => {
  const named = all.filter(file =>
    relative(packages, file)
      .split('/')
      .some(part => forbiddenNames.has(part.replace(/\.ts$/, ''))),
  );
  const barrels = product.filter(file => {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter(
        line =>
          line.trim() !== '' && !line.startsWith('//') && !line.startsWith('/*') && !line.startsWith(' *'),
      );
    return lines.length > 0 && lines.every(line => /^export (\*|\{[^}]*\}|type \{[^}]*\}) from /.test(line));
  });
  expect([...named, ...barrels].map(file => relative(root, file))).toEqual([]);
});
