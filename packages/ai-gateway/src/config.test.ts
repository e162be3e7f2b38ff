import { systemClock } from '@strata/shared/clock.ts';
import { loadConfig } from '@strata/shared/config/load.ts';
import { ConfigError } from '@strata/shared/config/problem.ts';
import { rootSchema } from '@strata/shared/config/root-schema.ts';
import { Secret } from '@strata/shared/secret.ts';
import { expect, test } from 'vitest';
import { aiGatewaySection } from './config.ts';
import { createProvider } from './providers/registry.ts';

const schema = rootSchema({ ai_gateway: aiGatewaySection });
const load = (text: string, env: Record<string, string> = {}) =>
  loadConfig(schema, { source: 'strata.yaml', text }, { env }).ai_gateway;

function problems(text: string): string {
  try {
    load(text);
    return '';
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

/** No plugin dials or waits while it is made. */
const unusedDeps = {
  clock: systemClock,
  dialer: {
    request: () => Promise.reject(new Error('not dialled here')),
    close: async () => {},
    connect: () => Promise.reject(new Error('not dialled here')),
  },
};

test('an empty file is a gateway without models', () => {
  const section = load('');
  expect(section).toMatchObject({ listen: { host: '127.0.0.1', port: 4100 }, providers: {}, models: {} });
});

test('providers, models and prices, with the key from the environment', async () => {
  const section = load(
    `ai_gateway:
  providers:
    main: { type: openai, api_key: "\${env:OPENAI_API_KEY}" }
  models:
    fast:
      targets:
        - { provider: main, model: gpt-5-mini, prices: { input: "0.25", output: "2" } }
`,
    { OPENAI_API_KEY: 'sk-canary' },
  );
  const main = section.providers.main;
  if (main?.type !== 'openai') throw new Error('not the provider that was written');
  expect(main.api_key).toBeInstanceOf(Secret);
  expect(JSON.stringify(section)).not.toContain('canary');
  const provider = createProvider(main, { ...unusedDeps, name: 'main' });
  expect(provider.headers.authorization).toBeUndefined();
  const request = {
    method: 'POST',
    origin: provider.origin,
    path: '/',
    headers: {},
    body: Buffer.alloc(0),
  } as const;
  const { signal } = new AbortController();
  expect(await provider.credentials[0].authorize({ ...request, signal })).toEqual({
    authorization: 'Bearer sk-canary',
  });
  expect(provider.origin.url.href).toBe('https://api.openai.com/v1');
});

test('all mistakes are told at once, with the nearest name', () => {
  const text = problems(`ai_gateway:
  providers:
    main: { type: openai-compatble, base_url: "http://127.0.0.1:1/v1" }
    local: { type: openai-compatible, base_url: "ftp://x" }
  models:
    fast: { targets: [{ provider: local, model: a, prices: { input: 0.25 } }] }
    "bad name": { targets: [{ provider: local, model: a }] }
    none: { targets: [] }
`);
  for (const part of ['openai-compatible', 'base_url', 'prices.input', 'bad name', 'targets']) {
    expect(text).toContain(part);
  }
});

test('a target that names no provider is told, with the nearest', () => {
  const text = problems(`ai_gateway:
  providers:
    main: { type: openai-compatible, base_url: "http://127.0.0.1:1/v1" }
  models:
    fast: { targets: [{ provider: mian, model: a }] }
`);
  expect(text).toContain('models.fast.targets.0.provider');
  expect(text).toContain("did you mean 'main'?");
});
