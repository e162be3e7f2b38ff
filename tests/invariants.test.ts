import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** `docs/invariants.md`, `docs/mcp-duties.md`, `docs/failure-semantics.md` and `docs/threats.md` name real tests, and the tests name real promises. */

const root = resolve(import.meta.dirname, '..');
const rowsOf = (page: string) =>
  readFileSync(join(root, page), 'utf8')
    .split('\n')
    .map(line => /^\| `([^`]+)` \| (.+) \| (.*) \|$/.exec(line))
    .filter(match => match !== null)
    .map(([, label = '', promise = '', tests = '']) => ({
      label,
      promise,
      tests: [...tests.matchAll(/`([^`]+)`/g)].map(match => match[1] ?? ''),
    }));

test.each([
  ['docs/invariants.md', 30],
  ['docs/mcp-duties.md', 29],
  ['docs/failure-semantics.md', 11],
])('%s: every row names tests that exist and carry its label', (page, least) => {
  const rows = rowsOf(page);
  expect(rows.length).toBeGreaterThanOrEqual(least);
  const broken = rows.flatMap(({ label, tests }) =>
    tests
      .filter(
        path =>
          !existsSync(join(root, path)) || !readFileSync(join(root, path), 'utf8').includes(`[${label}]`),
      )
      .map(path => `${label}: ${path}`),
  );
  expect(broken).toEqual([]);
  expect(rows.filter(row => row.tests.length === 0)).toEqual([]);
});

test('docs/threats.md names tests that exist', () => {
  const page = readFileSync(join(root, 'docs/threats.md'), 'utf8');
  const named = [...page.matchAll(/`((?:packages|tests)\/[^`]+)`/g)].map(([, path = '']) => path);
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(path => !existsSync(join(root, path)))).toEqual([]);
});

test('every label in the name of a test is a promise of the page', () => {
  const labels = new Set(rowsOf('docs/invariants.md').map(row => row.label));
  const used = readdirSync(join(root, 'packages'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts') && !name.includes('node_modules'))
    .flatMap(name =>
      [...readFileSync(join(root, 'packages', name), 'utf8').matchAll(/\[((?:S|AI|MCP|AG|\$)-\d+)\]/g)].map(
        match => match[1] ?? '',
      ),
    );
  expect([...new Set(used)].filter(label => !labels.has(label))).toEqual([]);
});
