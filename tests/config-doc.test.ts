import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { renderConfigDoc } from '@strata/cli/config-doc.ts';
import { expect, test } from 'vitest';

const page = () => readFileSync(resolve(import.meta.dirname, '../docs/config.md'), 'utf8');

test('docs/config.md is what the schemas say; `pnpm config-doc` writes it anew', () => {
  expect(page()).toBe(renderConfigDoc());
});

test('every key has a meaning', () => {
  const rows = page()
    .split('\n')
    .filter(line => line.startsWith('| `'));
  expect(rows.length).toBeGreaterThan(30);
  expect(rows.filter(row => row.endsWith('|  |'))).toEqual([]);
});
