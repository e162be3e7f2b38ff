import { readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { printTrace, type Span } from './print-trace.ts';

/**
 * Runs the workflow beside this file against a started stack, checks what came out, and prints one trace over the three gateways and what
 * it cost.
 *
 *   STRATA_KEY        a virtual key (the demo key that the first start prints)
 *   STRATA_ADMIN_KEY  an admin key, to read the trace
 */
const agentUrl = process.env.STRATA_AGENT_URL ?? 'http://127.0.0.1:4300';
const gateways = [
  agentUrl,
  process.env.STRATA_AI_URL ?? 'http://127.0.0.1:4100',
  process.env.STRATA_MCP_URL ?? 'http://127.0.0.1:4200',
];
const key = required('STRATA_KEY');
const adminKey = required('STRATA_ADMIN_KEY');
const folder = resolve(import.meta.dirname, 'workspace');

interface Run {
  readonly id: string;
  readonly status: string;
  readonly output: { readonly summary: string; readonly written: string };
  readonly error?: unknown;
  readonly trace_id: string;
  readonly cost: { readonly nano_usd: string; readonly unpriced_calls: number };
}

const target = resolve(folder, 'summary.txt');
rmSync(target, { force: true });
const run = await submit({ source: resolve(folder, 'notes.txt'), target });

assert(run.status === 'completed', `The run ended as ${run.status}: ${JSON.stringify(run.error)}`);
assert(
  run.output.summary.includes('never loses a run'),
  `The agent did not read the file: ${run.output.summary}`,
);
assert(readFileSync(target, 'utf8') === run.output.summary, 'The result was not written');

const spans = (await Promise.all(gateways.map(url => spansOf(url, run.trace_id)))).flat();
const services = new Set(spans.map(span => span.service));
assert(services.size === 3, `The trace spans ${[...services].join(', ')}, not all three gateways`);

console.log(`Run ${run.id}: ${run.output.summary}\n`);
printTrace(spans);
const unpriced = run.cost.unpriced_calls === 0 ? '' : ` and ${run.cost.unpriced_calls} calls without a price`;
console.log(`\nCost: ${formatUsd(BigInt(run.cost.nano_usd))} USD${unpriced}`);

async function submit(input: object): Promise<Run> {
  const definition = readFileSync(resolve(import.meta.dirname, 'workflow.yaml'), 'utf8');
  const response = await fetch(`${agentUrl}/v1/runs?wait=60`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ definition, input }),
  });
  const body = await response.text();
  assert(response.ok, `${response.status}: ${body}`);
  return JSON.parse(body) as Run;
}

async function spansOf(url: string, traceId: string): Promise<Span[]> {
  const response = await fetch(`${url}/admin/v1/traces/${traceId}`, {
    headers: { authorization: `Bearer ${adminKey}` },
  });
  const body = await response.text();
  assert(response.ok, `${url}: ${response.status} ${body}`);
  return (JSON.parse(body) as { spans: Span[] }).spans;
}

function formatUsd(nanoUsd: bigint): string {
  return `${nanoUsd / 1_000_000_000n}.${String(nanoUsd % 1_000_000_000n).padStart(9, '0')}`;
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') {
    console.error(
      `Set ${name}; the first \`pnpm start\` prints it, \`pnpm strata keys create\` makes another.`,
    );
    process.exit(2);
  }
  return value;
}

function assert(condition: boolean, message: string): asserts condition {
  if (condition) return;
  console.error(message);
  process.exit(1);
}
