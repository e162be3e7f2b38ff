import { loadConfig } from '@strata/shared/config/load.ts';
import { expect, test } from 'vitest';
import { providerDefaults } from './provider-defaults.ts';
import { stackSchema } from './stack-config.ts';

const load = (text: string, env: Record<string, string> = {}) =>
  loadConfig(stackSchema, { source: 'strata.yaml', text }, { env });

test('providers in the file are all there is', () => {
  const config = load('ai_gateway: { providers: { main: { type: openai, api_key: x } } }');
  expect(providerDefaults(config, { OPENAI_API_KEY: 'k' }).type).toBe('configured');
});

test('well-known keys make their providers, and the gateway accepts what is made', () => {
  const env = { OPENAI_API_KEY: 'canary-1', ANTHROPIC_API_KEY: 'canary-2' };
  const defaults = providerDefaults(load(''), env);
  if (defaults.type !== 'from-keys') throw new Error(defaults.type);
  const config = load('', { ...env, ...defaults.env });
  expect(Object.keys(config.ai_gateway.providers)).toEqual(['openai', 'anthropic']);
  expect(JSON.stringify(defaults.env)).not.toContain('canary');
});

test('without any key the simulator answers, and the gateway accepts what is made', () => {
  const defaults = providerDefaults(load(''), { OPENAI_API_KEY: '' });
  if (defaults.type !== 'simulated') throw new Error(defaults.type);
  const config = load('', { ...defaults.envFor('http://127.0.0.1:4900') });
  expect(Object.keys(config.ai_gateway.models)).toEqual(['demo', 'demo-claude']);
});
