import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * `pnpm soak [filter…]`: every test that has a long form (it imports `testing/size.ts` or `testing/model-runs.ts`) in full size, one file at a time, so that
 * nothing else disturbs what is measured.
 */

const root = resolve(import.meta.dirname, '..');
const filters = process.argv.slice(2);

const files = ['packages', 'tests']
  .flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)),
  )
  .filter(name => name.endsWith('.test.ts') && !name.includes('node_modules'))
  .filter(name => /\/testing\/(size|model-runs)\.ts/.test(readFileSync(join(root, name), 'utf8')))
  .filter(name => filters.length === 0 || filters.some(filter => name.includes(filter)))
  .sort();

if (files.length === 0) {
  process.stderr.write('No test with a long form matches.\n');
  process.exit(2);
}

let failed = 0;
for (const file of files) {
  const run = spawnSync('vitest', ['run', '--config', 'vitest.workspace.ts', file], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, SOAK: '1' },
  });
  if (run.status !== 0) failed++;
}
process.stdout.write(`\nsoak: ${files.length - failed} of ${files.length} files passed\n`);
process.exit(failed === 0 ? 0 : 1);
