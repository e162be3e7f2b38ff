import { join } from 'node:path';
import { type Candidate, compare, renderComparison } from './compare.ts';
import { gatewayCore, startGateway, upstreamCore } from './gateways.ts';
import { startProgram } from './processes.ts';

/** ai-gateway against a bare Fastify and undici proxy of ten lines, and against calling the upstream itself. */
export async function benchAiGateway(options: { rounds: number; requests: number }): Promise<string> {
  const fixed = await startProgram({
    entry: join(import.meta.dirname, 'fixed-upstream.ts'),
    core: upstreamCore,
  });
  const upstream = `${fixed.url}/v1`;
  const bare = await startProgram({
    entry: join(import.meta.dirname, 'bare-proxy.ts'),
    env: { UPSTREAM: fixed.url },
    core: gatewayCore,
  });
  const gateway = await startGateway('ai-gateway', {
    listen: { port: 0 },
    providers: {
      main: { type: 'openai-compatible', base_url: upstream, api_key: 'unused', allow_private: true },
    },
    models: {
      demo: {
        targets: [
          {
            provider: 'main',
            model: 'gpt-5-mini',
            prices: { input: '0.25', output: '2.00', cache_read: '0.025' },
          },
        ],
      },
    },
  });
  try {
    const candidate = (name: string, url: string, key: string, model: string): Candidate => ({
      name,
      url,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello in five words.' }] }),
    });
    const results = await compare(
      [
        candidate('direct', `${upstream}/chat/completions`, 'unused', 'gpt-5-mini'),
        candidate('bare proxy', `${bare.url}/v1/chat/completions`, 'unused', 'gpt-5-mini'),
        candidate('ai-gateway', `${gateway.url}/v1/chat/completions`, gateway.key, 'demo'),
      ],
      { ...options, connections: 64 },
    );
    return renderComparison(results, 'ai-gateway', ['bare proxy', 'direct']);
  } finally {
    await Promise.all([gateway.stop(), bare.stop(), fixed.stop()]);
  }
}
