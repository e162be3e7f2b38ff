import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { node } from '../start-gateway.ts';

const require = createRequire(import.meta.url);
export const suiteScript = join(
  dirname(require.resolve('@modelcontextprotocol/conformance/package.json')),
  'dist/index.js',
);

export type Requirements = '2025-11-25' | '2026-07-28';

export interface SuiteRun {
  /** `scenario check status`, each as often as it occurred, sorted. */
  readonly checks: readonly string[];
  readonly passed: number;
  readonly failed: number;
  /** 0 when every scenario that counts has passed. */
  readonly exitCode: number;
  readonly output: string;
  readonly scenarios: readonly ScenarioResult[];
}

export interface ScenarioResult {
  readonly name: string;
  readonly passed: number;
  /** `check: message` of those that failed. */
  readonly failures: readonly string[];
}

/** Runs the official conformance suite in a process of its own and reads what it wrote down. */
export async function runSuite(args: readonly string[]): Promise<SuiteRun> {
  const folder = await mkdtemp(join(tmpdir(), 'strata-conformance-'));
  try {
    const { exitCode, output } = await run([...args, '-o', folder]);
    const all = await readChecks(folder);
    const count = (status: string) => all.filter(check => check.status === status).length;
    return {
      checks: all.map(({ scenario, id, status }) => `${scenario} ${id} ${status}`).sort(),
      passed: count('SUCCESS'),
      failed: count('FAILURE'),
      exitCode,
      output,
      scenarios: scenariosOf(all),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function runServerSuite(url: string, requirements: Requirements): Promise<SuiteRun> {
  return runSuite(['server', '--url', url, '--requirements', requirements]);
}

/** What one run has and the other has not, with its sign. */
export function differences(direct: SuiteRun, through: SuiteRun): string[] {
  const rest = [...through.checks];
  const missing = direct.checks.filter(check => {
    const at = rest.indexOf(check);
    if (at !== -1) rest.splice(at, 1);
    return at === -1;
  });
  return [...missing.map(check => `- ${check}`), ...rest.map(check => `+ ${check}`)];
}

function run(args: readonly string[]): Promise<{ exitCode: number; output: string }> {
  return new Promise(resolve => {
    const options = { timeout: 240_000, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, NO_COLOR: '1' } };
    execFile(node, [suiteScript, ...args], options, (error, stdout, stderr) => {
      const code = error?.code;
      resolve({ exitCode: error ? (typeof code === 'number' ? code : 1) : 0, output: stdout + stderr });
    });
  });
}

interface Check {
  readonly scenario: string;
  readonly id: string;
  readonly status: string;
  readonly errorMessage?: string;
}

async function readChecks(folder: string): Promise<Check[]> {
  const names = await readdir(folder, { recursive: true });
  const checks: Check[] = [];
  for (const name of names.filter(each => each.endsWith('checks.json'))) {
    // `<scenario>-<time>/checks.json`, for some scenarios below a folder
    const scenario = dirname(name).replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');
    const list = JSON.parse(await readFile(join(folder, name), 'utf8')) as Omit<Check, 'scenario'>[];
    for (const check of list) checks.push({ ...check, scenario });
  }
  return checks;
}

function scenariosOf(checks: readonly Check[]): ScenarioResult[] {
  return [...Map.groupBy(checks, check => check.scenario)]
    .map(([name, own]) => ({
      name,
      passed: own.filter(check => check.status === 'SUCCESS').length,
      failures: own
        .filter(check => check.status === 'FAILURE')
        .map(({ id, errorMessage }) => `${id}: ${errorMessage ?? ''}`),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
