import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { startProgram } from './processes.ts';

const root = resolve(import.meta.dirname, '..');

export const gatewayCore = 0;
export const upstreamCore = 1;

/** What its image starts it with, in the environment and as flags. */
export const agentGatewayEnvironment = {
  MALLOC_ARENA_MAX: '1',
  NODE_COMPILE_CACHE: join(tmpdir(), 'strata-bench-compiled'),
};
export const agentGatewayFlags = [
  '--max-semi-space-size=4',
  '--heap-growing-percent=20',
  '--optimize-for-size',
];

/** A gateway with its usual duties on (keys, metering, metrics) and spans off, on a core of its own where cores can be chosen. */
export async function startGateway(
  name: 'ai-gateway' | 'mcp-gateway' | 'agent-gateway',
  section: object,
  { shared = {}, execArgs = [] }: { shared?: object; execArgs?: readonly string[] } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'strata-bench-'));
  const file = join(folder, 'strata.yaml');
  writeFileSync(
    file,
    stringify({
      data_dir: folder,
      telemetry: { log_level: 'error' },
      ...shared,
      [name.replace('-', '_')]: section,
    }),
  );
  const env = { STRATA_CONFIG: file, ...(name === 'agent-gateway' && agentGatewayEnvironment) };
  const gateway = await startProgram({
    entry: join(root, `packages/${name}/src/main.ts`),
    env,
    execArgs,
    core: gatewayCore,
  });
  const args = [join(root, 'packages/shared/src/create-key.ts'), '--name', 'bench', '--principal', 'bench'];
  const key = execFileSync(process.execPath, args, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  }).trim();
  return { ...gateway, key };
}
