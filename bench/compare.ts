import { setTimeout as sleep } from 'node:timers/promises';
import { measureLatency } from './latency.ts';
import { runLoad } from './load.ts';
import { median } from './median.ts';

export interface Candidate {
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Processor time of its process so far, where it is asked for. */
  readonly cpuMs?: () => number;
}

export interface Comparison {
  readonly name: string;
  /** Answers a second with many connections, the middle of the rounds. */
  readonly requestsPerSecond: number;
  /** The middle of a round's times with one connection, the middle of the rounds. */
  readonly p50Ms: number;
  /** Processor time of an answer with many connections, the middle of the rounds: what other work on the machine disturbs least. */
  readonly cpuUs: number | undefined;
  readonly failures: number;
}

/** What a process does a moment after its answers, such as to book them, belongs to them. */
const settleMs = 300;

/** Loads the candidates in turn, round after round, in changing order: what the machine does meanwhile hits all alike. */
export async function compare(
  candidates: readonly Candidate[],
  options: { rounds: number; connections: number; requests: number },
): Promise<Comparison[]> {
  const { rounds, connections, requests } = options;
  const seen = new Map(
    candidates.map(each => [
      each.name,
      { rates: [] as number[], times: [] as number[], cpu: [] as number[], failures: 0 },
    ]),
  );
  // Until everything that is compiled while it runs is: a gateway has more of it than a relay, and each gets the same.
  for (const each of candidates) await runLoad({ ...each, connections, requests: requests * 2 });
  for (let round = 0; round < rounds; round++) {
    const order = candidates.map((_, index) => candidates[(index + round) % candidates.length]);
    for (const each of order) {
      const result = each && seen.get(each.name);
      if (!result) continue;
      const startedCpuMs = each.cpuMs?.() ?? 0;
      const load = await runLoad({ ...each, connections, requests });
      await sleep(settleMs);
      if (each.cpuMs) result.cpu.push(((each.cpuMs() - startedCpuMs) * 1000) / requests);
      result.rates.push(load.requestsPerSecond);
      result.failures += load.failures;
      result.times.push((await measureLatency({ ...each, requests: Math.min(400, requests) })).p50Ms);
    }
  }
  return [...seen].map(([name, { rates, times, cpu, failures }]) => ({
    name,
    requestsPerSecond: median(rates),
    p50Ms: median(times),
    cpuUs: cpu.length === 0 ? undefined : median(cpu),
    failures,
  }));
}

/** A table in Markdown, each candidate against the named yardsticks. */
export function renderComparison(
  results: readonly Comparison[],
  subject: string,
  yardsticks: readonly string[],
): string {
  const find = (name: string) => results.find(each => each.name === name) ?? fail(name);
  const rows = results.map(
    each =>
      `| ${each.name} | ${each.requestsPerSecond.toFixed(0)} | ${each.p50Ms.toFixed(3)} | ${timeOf(each)} | ${each.failures} |`,
  );
  const ratios = yardsticks.map(name => {
    const [own, other] = [find(subject), find(name)];
    const ratio = (own.requestsPerSecond / other.requestsPerSecond).toFixed(2);
    const addedMs = own.p50Ms - other.p50Ms;
    const added = `**${addedMs < 0 ? '' : '+'}${addedMs.toFixed(3)} ms** at one connection`;
    const isTimed = own.cpuUs !== undefined && other.cpuUs !== undefined;
    const cpu = isTimed ? `, its processor time **1 / ${(other.cpuUs / own.cpuUs).toFixed(2)}**` : '';
    return `- ${subject} against ${name}: **${ratio}** of its throughput, ${added}${cpu}`;
  });
  return [
    '| | requests/s | p50 ms, one connection | CPU a request | failures |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    ...ratios,
  ].join('\n');
}

function timeOf({ cpuUs }: Comparison): string {
  return cpuUs === undefined ? '–' : `${cpuUs.toFixed(0)} µs`;
}

function fail(name: string): never {
  throw new Error(`${name} was not measured`);
}
