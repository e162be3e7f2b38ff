import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { bearerCredentials, noCredential } from '../credentials.ts';
import { openaiApis, openaiObjects, rerankAccess } from '../openai-apis.ts';
import { originOf } from '../origin.ts';
import { apiKeyOption, baseUrlOption } from '../provider-options.ts';
import { type Preset, presets } from './presets.ts';

/** One provider type a preset. */
export const openaiPresets = presets.map(presetProvider);

function presetProvider(preset: Preset) {
  const { title, vendor, isLocal = false } = preset;
  const key = apiKeyOption();
  return defineProvider({
    type: preset.type,
    options: z.object({
      api_key: preset.needsKey ? key : key.optional(),
      base_url: baseUrlOption()
        .default(preset.baseUrl)
        .describe(`Address of ${title}, up to and with the version.`),
      allow_private: z
        .boolean()
        .default(isLocal)
        .describe('Whether the address may be private, loopback or link-local.'),
    }),
    create: (options, { name }) => ({
      name,
      system: preset.type,
      vendor,
      origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
      speaks: new Map([
        [
          'openai-chat',
          {
            path: () => '/chat/completions',
            mayAskStreamUsage: preset.streamUsage,
            quirks: {
              renames: preset.renames,
              refuses: preset.refuses,
              toolCallIdLength: preset.toolCallIdLength,
            },
            ...(preset.lacks && { lacks: preset.lacks }),
          },
        ],
        ...openaiApis('', { streamUsage: preset.streamUsage }),
        ...(preset.hasRerank ? rerankAccess : []),
        ...(preset.hasBatches ? openaiObjects() : []),
      ]),
      headers: {},
      credentials: options.api_key === undefined ? noCredential : bearerCredentials(options.api_key),
    }),
  });
}
