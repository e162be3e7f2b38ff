import { createRegistry } from '@strata/shared/plugin.ts';
import { Secret } from '@strata/shared/secret.ts';
import type { ModelProvider, ProviderDeps } from '../domain/provider.ts';
import { anthropic } from './anthropic/anthropic.ts';
import { azureOpenai } from './azure-openai/azure-openai.ts';
import { bedrock } from './bedrock/bedrock.ts';
import { cohere } from './cohere/cohere.ts';
import { gemini } from './gemini/gemini.ts';
import { openai } from './openai/openai.ts';
import { openaiCompatible } from './openai-compatible/openai-compatible.ts';
import { openaiPresets } from './openai-presets/openai-presets.ts';
import { vertex } from './vertex/vertex.ts';

/** Every vendor. A new one is a folder and a line here. */
const registry = createRegistry([
  openaiCompatible,
  openai,
  anthropic,
  gemini,
  bedrock,
  cohere,
  azureOpenai,
  vertex,
  ...openaiPresets,
]);

export const providerSchema = registry.schema;

/** Every `type`, in the order of the list above. */
export const providerTypes = registry.types;

export type ProviderConfig = ReturnType<typeof providerSchema.parse>;

/** The provider that a parsed configuration describes. */
export function createProvider(config: ProviderConfig, deps: ProviderDeps): ModelProvider {
  // A plugin parses its options itself, from the form they have in the file: secrets go back to text for that.
  const { type, ...options } = config;
  const written = Object.entries(options).map(([key, value]) => [key, revealed(value)]);
  return registry.create({ ...Object.fromEntries(written), type: String(type) }, deps);
}

function revealed(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(revealed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revealed(inner)]));
}
