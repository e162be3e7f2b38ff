import type { StackConfig } from './stack-config.ts';

/** How the models are reached when nobody said so in the configuration. */
export type ProviderDefaults =
  | { readonly type: 'configured' }
  | { readonly type: 'from-keys'; readonly env: Readonly<Record<string, string>> }
  | { readonly type: 'simulated'; envFor(simulatorUrl: string): Readonly<Record<string, string>> };

/**
 * With providers in the file, nothing is added. Else well-known keys in the environment make their providers. Else, and
 * only then, the simulator answers.
 */
export function providerDefaults(
  config: Pick<StackConfig, 'ai_gateway'>,
  env: Readonly<Record<string, string | undefined>>,
): ProviderDefaults {
  if (Object.keys(config.ai_gateway.providers).length > 0) return { type: 'configured' };
  const providers: Record<string, object> = {};
  const models: Record<string, object> = {};
  if (env.OPENAI_API_KEY) {
    providers.openai = { type: 'openai', api_key: '${env:OPENAI_API_KEY}' };
    models['gpt-5-mini'] = { targets: [{ provider: 'openai', model: 'gpt-5-mini' }] };
    models['gpt-5'] = { targets: [{ provider: 'openai', model: 'gpt-5' }] };
  }
  if (env.ANTHROPIC_API_KEY) {
    providers.anthropic = { type: 'anthropic', api_key: '${env:ANTHROPIC_API_KEY}' };
    models['claude-sonnet-4-5'] = { targets: [{ provider: 'anthropic', model: 'claude-sonnet-4-5' }] };
  }
  if (Object.keys(providers).length > 0) return { type: 'from-keys', env: asEnvironment(providers, models) };
  return { type: 'simulated', envFor: simulated };
}

/** Made up, so that costs can be seen before there is an account. USD per million tokens. */
const demoPrices = { input: '0.25', output: '2.00', cache_read: '0.025', cache_write: '0.30' };

function simulated(url: string): Readonly<Record<string, string>> {
  const local = { api_key: 'simulator', allow_private: true };
  return asEnvironment(
    {
      'simulator-openai': { type: 'openai-compatible', base_url: `${url}/openai/v1`, ...local },
      'simulator-anthropic': { type: 'anthropic', base_url: `${url}/anthropic`, ...local },
    },
    {
      demo: { targets: [{ provider: 'simulator-openai', model: 'gpt-5-mini', prices: demoPrices }] },
      'demo-claude': {
        targets: [{ provider: 'simulator-anthropic', model: 'claude-sonnet-4-5', prices: demoPrices }],
      },
    },
  );
}

/** The same variables that an operator may set, so that the gateways know no second way to be configured. */
function asEnvironment(providers: object, models: object): Readonly<Record<string, string>> {
  return {
    STRATA_AI_GATEWAY__PROVIDERS: JSON.stringify(providers),
    STRATA_AI_GATEWAY__MODELS: JSON.stringify(models),
  };
}
