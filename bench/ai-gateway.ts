import { join } from 'node:path';
import { type Candidate, compare, renderComparison } from './compare.ts';
import { gatewayCore, startGateway, upstreamCore } from './gateways.ts';
import { runLoad } from './load.ts';
import { median } from './median.ts';
import { startPortkey } from './portkey.ts';
import { startProgram } from './processes.ts';

interface Options {
  readonly rounds: number;
  readonly requests: number;
}

/** ai-gateway against a bare Fastify and undici proxy of ten lines, Portkey from npm, and calling the upstream itself. */
export async function benchAiGateway(options: Options): Promise<string> {
  const fixed = await startProgram({
    entry: join(import.meta.dirname, 'fixed-upstream.ts'),
    core: upstreamCore,
  });
  const upstream = `${fixed.url}/v1`;
  const env = { UPSTREAM: fixed.url };
  const bare = await startProgram({
    entry: join(import.meta.dirname, 'bare-proxy.ts'),
    env,
    core: gatewayCore,
  });
  const portkey = await startPortkey();
  const prices = { input: '0.25', output: '2.00', cache_read: '0.025' };
  const account = { base_url: upstream, api_key: 'unused', allow_private: true };
  const gateway = await startGateway('ai-gateway', {
    listen: { port: 0 },
    providers: {
      main: { ...account, type: 'openai-compatible' },
      claude: { ...account, type: 'anthropic', base_url: fixed.url },
    },
    models: {
      demo: { targets: [{ provider: 'main', model: 'gpt-5-mini', prices }] },
      claude: { targets: [{ provider: 'claude', model: 'claude-bench', prices }] },
    },
  });
  try {
    const candidate = (name: string, url: string, key: string, model: string, more = {}): Candidate => ({
      name,
      url,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello in five words.' }] }),
    });
    const own = `${gateway.url}/v1/chat/completions`;
    const direct = candidate('direct', `${upstream}/chat/completions`, 'unused', 'gpt-5-mini');
    const passthrough = candidate('ai-gateway', own, gateway.key, 'demo');
    const results = await compare(
      [
        direct,
        candidate('bare proxy', `${bare.url}/v1/chat/completions`, 'unused', 'gpt-5-mini'),
        candidate('portkey', `${portkey.url}/v1/chat/completions`, 'unused', 'gpt-5-mini', {
          'x-portkey-provider': 'openai',
          'x-portkey-custom-host': upstream,
        }),
        passthrough,
        candidate('ai-gateway translating', own, gateway.key, 'claude'),
      ],
      { ...options, connections: 64 },
    );
    const table = renderComparison(results, 'ai-gateway', ['bare proxy', 'portkey', 'direct']);
    const translation = renderComparison(results, 'ai-gateway translating', ['ai-gateway'])
      .split('\n')
      .at(-1);
    const streams = await benchStreams({ direct, passthrough, gateway }, options);
    return [table, translation, ...streams].join('\n');
  } finally {
    await Promise.all([gateway.stop(), portkey.stop(), bare.stop(), fixed.stop()]);
  }
}

/** Time to the first byte of a stream at one connection, and what a token costs the gateway while many streams run. */
async function benchStreams(
  subjects: { direct: Candidate; passthrough: Candidate; gateway: { cpuMs(): number } },
  { rounds, requests }: Options,
): Promise<string[]> {
  const { direct, passthrough, gateway } = subjects;
  const streaming = (each: Candidate, headers: Record<string, string>) => ({
    ...each,
    body: each.body.replace('{', '{"stream":true,'),
    headers: { ...each.headers, ...headers },
  });
  const first = async (each: Candidate) => {
    const load = { ...streaming(each, {}), connections: 1, requests: Math.min(400, requests) };
    return (await runLoad(load)).firstByteP50Ms;
  };
  const added: number[] = [];
  for (let round = 0; round < rounds; round++) added.push((await first(passthrough)) - (await first(direct)));
  const streams = Math.min(512, requests);
  const tokens = 64;
  const before = gateway.cpuMs();
  const many = await runLoad({ ...streaming(passthrough, {}), connections: streams, requests: streams * 2 });
  const perToken = ((gateway.cpuMs() - before) * 1000) / (streams * 2 * tokens);
  return [
    `- time to the first byte of a stream, one connection: **+${median(added).toFixed(3)} ms** against direct`,
    `- ${streams} streams at once, ${tokens} events each: **${perToken.toFixed(1)} µs** of the gateway's processor time an event, set-up included; ${many.failures} failures`,
  ];
}
