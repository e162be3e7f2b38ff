import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { keyCredentials } from '../credentials.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

export const anthropic = defineProvider({
  type: 'anthropic',
  options: z.object({
    api_key: apiKeyOption(),
    base_url: baseUrlOption()
      .default('https://api.anthropic.com')
      .describe('Address of the API, without the version.'),
    version: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}$/)
      .default('2023-06-01')
      .describe('The `anthropic-version` for clients that send none.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'anthropic',
    vendor: 'anthropic',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      [
        'anthropic-messages',
        {
          path: () => '/v1/messages',
          countPath: () => '/v1/messages/count_tokens',
          mayAskStreamUsage: false,
        },
      ],
      ['anthropic-files', { path: () => '/v1/files', mayAskStreamUsage: false }],
      ['anthropic-batches', { path: () => '/v1/messages/batches', mayAskStreamUsage: false }],
    ]),
    headers: { 'anthropic-version': options.version },
    credentials: keyCredentials(options.api_key, key => ({ 'x-api-key': key })),
  }),
});
