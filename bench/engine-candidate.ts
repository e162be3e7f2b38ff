import { setTimeout as sleep } from 'node:timers/promises';
import { candidates } from './engine-candidates.ts';

/** One candidate in a process of its own, so that its memory is its own. Prints one line of JSON. */
const [name = '', folder = '', postgresUrl = '', runs = '100', steps = '20'] = process.argv.slice(2);
const open = candidates[name];
if (open === undefined) throw new Error(`No candidate '${name}'`);
const concurrency = 50;
const stepsOfRun = Number(steps);
const candidate = await open({ folder, postgresUrl }, stepsOfRun);

await runAll(Math.min(50, Number(runs))); // warm up
const firstAppend = candidate.appendMs.length;
const startedAtMs = performance.now();
await runAll(Number(runs));
const tookMs = performance.now() - startedAtMs;
const appends = candidate.appendMs.slice(firstAppend).sort((one, other) => one - other);
const starts = await measureStarts();
const line = {
  name,
  tasksPerSecond: (Number(runs) * stepsOfRun * 1000) / tookMs,
  appendP99Ms: appends[Math.floor(appends.length * 0.99)],
  startP99Ms: starts[Math.floor(starts.length * 0.99)],
  rssMiB: process.memoryUsage().rss / 1024 ** 2,
};
console.log(JSON.stringify(line));
await candidate.close();
process.exit(0);

async function runAll(count: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) await candidate.run();
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, lane));
}

/** 200 submissions a second of short runs: from the submission to the first step. */
async function measureStarts(): Promise<number[]> {
  const { startMs } = candidate;
  if (startMs === undefined) return [];
  const times: Promise<number>[] = [];
  for (let at = 0; at < 200; at++) {
    times.push(startMs());
    await sleep(5);
  }
  return (await Promise.all(times)).sort((one, other) => one - other);
}
