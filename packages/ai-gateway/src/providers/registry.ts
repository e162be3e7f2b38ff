import { createRegistry } from '@strata/shared/plugin.ts';
import { Secret } from '@strata/shared/secret.ts';
import type { ModelProvider } from '../domain/provider.ts';
import { anthropic } from './anthropic/anthropic.ts';
import { openai } from './openai/openai.ts';
import { openaiCompatible } from './openai-compatible/openai-compatible.ts';

/** Every vendor. A new one is a folder and a line here. */
const registry = createRegistry([openaiCompatible, openai, anthropic]);

export const providerSchema = registry.schema;

export type ProviderConfig = ReturnType<typeof providerSchema.parse>;

/** The provider that a parsed configuration describes. */
export function createProvider(name: string, config: ProviderConfig): ModelProvider {
  // A plugin parses its options itself, from the form they have in the file: secrets go back to text for that.
  const written = Object.entries(config).map(([key, value]) => [
    key,
    value instanceof Secret ? value.reveal() : value,
  ]);
  return registry.create(Object.fromEntries(written), { name });
}
