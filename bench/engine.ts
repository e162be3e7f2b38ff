import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startPostgres } from '@strata/shared/testing/postgres-server.ts';
import { isMissing } from '@strata/shared/testing/private-server.ts';
import { agentGatewayEnvironment, agentGatewayFlags } from './gateways.ts';
import { median } from './median.ts';

interface Line {
  readonly name: string;
  readonly tasksPerSecond: number;
  readonly appendP99Ms?: number;
  readonly startP99Ms?: number;
  readonly rssMiB: number;
}

const names = [
  'strata-sqlite',
  'openworkflow-sqlite',
  'strata-postgres',
  'openworkflow-postgres',
  'dbos-postgres',
];
const steps = 20;

/** [8.4-15] The engine of agent-gateway beside others: 50 runs at a time of 20 trivial steps, in turn, round after round. */
export async function benchEngine({ rounds, runs }: { rounds: number; runs: number }): Promise<string> {
  const postgres = await startPostgres({ isDurable: true });
  if (isMissing(postgres)) return `Not measured: ${postgres.missing}\n`;
  const seen = new Map<string, Line[]>();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const name of names) {
        const line = await measure(name, { postgresUrl: await postgres.createDatabase(), runs });
        seen.set(name, [...(seen.get(name) ?? []), line]);
      }
    }
  } finally {
    await postgres.close();
  }
  const rows = [...seen].map(([name, lines]) => rowOf(name, lines));
  return `| | tasks/s | append p99 ms | run start p99 ms | RSS MiB |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
}

async function measure(
  name: string,
  { postgresUrl, runs }: { postgresUrl: string; runs: number },
): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const program = join(import.meta.dirname, 'engine-candidate.ts');
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        ...(name.startsWith('strata') ? agentGatewayFlags : []),
        program,
        name,
        folder,
        postgresUrl,
        String(runs),
        String(steps),
      ],
      {
        timeout: 180_000,
        maxBuffer: 16 * 1024 * 1024,
        env: { ...process.env, ...(name.startsWith('strata') && agentGatewayEnvironment) },
      },
    );
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Line; // what `engine-candidate.ts` prints
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function rowOf(name: string, lines: readonly Line[]): string {
  const middle = (of: (line: Line) => number | undefined) => {
    const values = lines.map(of).filter(value => value !== undefined);
    return values.length === 0
      ? ''
      : median(values).toFixed(values[0] !== undefined && values[0] < 100 ? 1 : 0);
  };
  const cells = [
    middle(({ tasksPerSecond }) => tasksPerSecond),
    middle(({ appendP99Ms }) => appendP99Ms),
    middle(({ startP99Ms }) => startP99Ms),
    middle(({ rssMiB }) => rssMiB),
  ];
  return `| ${name} | ${cells.join(' | ')} |`;
}

if (process.argv[1] === import.meta.filename) {
  const isQuick = process.argv.includes('--quick');
  console.log(await benchEngine(isQuick ? { rounds: 1, runs: 60 } : { rounds: 3, runs: 500 }));
}
