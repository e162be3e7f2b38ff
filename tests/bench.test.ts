import { expect, test } from 'vitest';
import { runProgram } from './smoke.ts';

test('the bench runs: every candidate is measured in one run and answers everything', async () => {
  const { code, output } = await runProgram(['bench/run.ts', '--quick'], {});
  expect(code, output).toBe(0);
  const rows = [...output.matchAll(/^\| ([\w -]+) \| (\d+) \| ([\d.]+) \| (–|\d+ µs) \| (\d+) \|$/gm)];
  expect(rows.map(row => row[1])).toEqual([
    'direct',
    'bare proxy',
    'portkey',
    'ai-gateway',
    'ai-gateway translating',
    ...['direct', 'SDK relay', 'tuned SDK relay', 'mcp-gateway'],
    ...['direct', 'mcp-gateway'],
    ...['direct', 'SDK relay', 'tuned SDK relay', 'mcp-gateway'],
  ]);
  const engines = [...output.matchAll(/^\| ([a-zA-Z-]+) \| (\d+\.?\d*) (?:\| [\d.]* ){3}\|$/gm)].map(
    row => row[1],
  );
  expect(engines).toEqual([
    ...['strata-sqlite', 'openworkflow-sqlite'],
    ...['strata-postgres', 'openworkflow-postgres', 'dbos-postgres'],
    ...['SQLite', 'PostgreSQL'],
  ]);
  for (const [, name, rate, , , failures] of rows) {
    expect(Number(failures), name).toBe(0);
    expect(Number(rate), name).toBeGreaterThan(0);
  }
});
