import { measureLatency } from './latency.ts';
import { runLoad } from './load.ts';
import { median } from './median.ts';

export interface Candidate {
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Comparison {
  readonly name: string;
  /** Answers a second with many connections, the middle of the rounds. */
  readonly requestsPerSecond: number;
  /** The middle of a round's times with one connection, the middle of the rounds. */
  readonly p50Ms: number;
  readonly failures: number;
}

/** Loads the candidates in turn, round after round, in changing order: what the machine does meanwhile hits all alike. */
export async function compare(
  candidates: readonly Candidate[],
  options: { rounds: number; connections: number; requests: number },
): Promise<Comparison[]> {
  const { rounds, connections, requests } = options;
  const seen = new Map(
    candidates.map(each => [each.name, { rates: [] as number[], times: [] as number[], failures: 0 }]),
  );
  for (const each of candidates) await runLoad({ ...each, connections, requests: requests >> 1 }); // warm up
  for (let round = 0; round < rounds; round++) {
    const order = candidates.map((_, index) => candidates[(index + round) % candidates.length]);
    for (const each of order) {
      const result = each && seen.get(each.name);
      if (!result) continue;
      const load = await runLoad({ ...each, connections, requests });
      result.rates.push(load.requestsPerSecond);
      result.failures += load.failures;
      result.times.push((await measureLatency({ ...each, requests: Math.min(400, requests) })).p50Ms);
    }
  }
  return [...seen].map(([name, { rates, times, failures }]) => ({
    name,
    requestsPerSecond: median(rates),
    p50Ms: median(times),
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
      `| ${each.name} | ${each.requestsPerSecond.toFixed(0)} | ${each.p50Ms.toFixed(3)} | ${each.failures} |`,
  );
  const ratios = yardsticks.map(name => {
    const [own, other] = [find(subject), find(name)];
    const ratio = (own.requestsPerSecond / other.requestsPerSecond).toFixed(2);
    return `- ${subject} against ${name}: **${ratio}** of its throughput, **+${(own.p50Ms - other.p50Ms).toFixed(3)} ms** at one connection`;
  });
  return [
    '| | requests/s | p50 ms, one connection | failures |',
    '|---|---|---|---|',
    ...rows,
    '',
    ...ratios,
  ].join('\n');
}

function fail(name: string): never {
  throw new Error(`${name} was not measured`);
}
