import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gatewayCore, startGateway, upstreamCore } from './gateways.ts';
import { measureLatency } from './latency.ts';
import { runLoad } from './load.ts';
import { startProgram } from './processes.ts';

/**
 * `node bench/floor.ts [rounds]`: what of a request through ai-gateway are Node and undici, which a gateway on them cannot do without, and what is its own. Short
 * rounds in turn, and of each candidate the quarter that other work on the machine disturbed least.
 */
const rounds = Number(process.argv[2] ?? 12);
const requests = 3000;
const connections = 64;
/** What is booked a moment after the answers belongs to them. */
const settleMs = 300;

const fixed = await startProgram({
  entry: join(import.meta.dirname, 'fixed-upstream.ts'),
  core: upstreamCore,
});
const startProxy = (file: string) =>
  startProgram({
    entry: join(import.meta.dirname, file),
    env: { UPSTREAM: fixed.url },
    core: gatewayCore,
  });
const account = {
  type: 'openai-compatible',
  base_url: `${fixed.url}/v1`,
  api_key: 'unused',
  allow_private: true,
};
const prices = { input: '0.25', output: '2.00', cache_read: '0.025' };
const gateway = await startGateway('ai-gateway', {
  listen: { port: 0 },
  providers: { main: account },
  models: { 'gpt-5-mini': { targets: [{ provider: 'main', model: 'gpt-5-mini', prices }] } },
});
const bare = await startProxy('bare-proxy.ts');
const floor = await startProxy('floor-proxy.ts');

const candidates = [
  { name: 'floor', program: floor, key: 'unused' },
  { name: 'bare proxy', program: bare, key: 'unused' },
  { name: 'ai-gateway', program: gateway, key: gateway.key },
].map(({ name, program, key }) => ({
  name,
  program,
  load: {
    url: `${program.url}/v1/chat/completions`,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'gpt-5-mini',
      messages: [{ role: 'user', content: 'Say hello in five words.' }],
    }),
  },
  cpuUs: [] as number[],
  p50Ms: [] as number[],
}));

for (const { load } of candidates) await runLoad({ ...load, connections, requests: 10_000 });
for (let round = 0; round < rounds; round++) {
  for (const { program, load, cpuUs, p50Ms } of candidates) {
    const before = program.cpuMs();
    const { failures } = await runLoad({ ...load, connections, requests });
    if (failures > 0) throw new Error(`${load.url}: ${failures} failures`);
    await sleep(settleMs);
    cpuUs.push(((program.cpuMs() - before) * 1000) / requests);
    p50Ms.push((await measureLatency({ ...load, requests: 300 })).p50Ms);
  }
}
console.log('| | CPU a request: fastest quarter, median | p50 at one connection: fastest quarter, median |');
console.log('|---|---|---|');
for (const { name, cpuUs, p50Ms } of candidates) {
  const cpu = `${at(cpuUs, 0.125).toFixed(1)} µs, ${at(cpuUs, 0.5).toFixed(1)}`;
  console.log(`| ${name} | ${cpu} | ${at(p50Ms, 0.125).toFixed(3)} ms, ${at(p50Ms, 0.5).toFixed(3)} |`);
}
await Promise.all([gateway, bare, floor, fixed].map(each => each.stop()));

/** The value below which this part of them lies: the middle of the fastest quarter at an eighth. */
function at(values: readonly number[], part: number): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length * part)] ?? 0;
}
