import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { benchAgentGateway } from './agent-gateway.ts';
import { benchAiGateway } from './ai-gateway.ts';
import { benchEngine } from './engine.ts';
import { benchHotPath } from './hot-path.ts';
import { benchMcpGateway } from './mcp-gateway.ts';

/** `pnpm bench [--quick]`: prints the tables of bench/README.md with machine and commit. */
const isQuick = process.argv.includes('--quick');
const options = isQuick ? { rounds: 1, requests: 400 } : { rounds: 5, requests: 10_000 };

const commit = readCommit();
console.log(
  `Commit ${commit}, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${new Date().toISOString().slice(0, 10)}\n`,
);
console.log(`### ai-gateway\n\n${await benchAiGateway(options)}\n`);
console.log(`### key, limits, budgets and ledger\n\n${await benchHotPath(options)}\n`);
console.log(`### mcp-gateway\n\n${await benchMcpGateway(options)}\n`);
console.log(
  `### engine\n\n${await benchEngine(isQuick ? { rounds: 1, runs: 20 } : { rounds: 3, runs: 500 })}\n`,
);
console.log(`### agent-gateway\n\n${await benchAgentGateway({ runs: isQuick ? 20 : 1000, isQuick })}\n`);

function readCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
