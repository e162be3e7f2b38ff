import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { bearerCredentials } from '../credentials.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

export const cohere = defineProvider({
  type: 'cohere',
  options: z.object({
    api_key: apiKeyOption(),
    base_url: baseUrlOption()
      .default('https://api.cohere.com')
      .describe('Address of the API, without the version.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'cohere',
    vendor: 'cohere',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      ['cohere-chat', { path: () => '/v2/chat', mayAskStreamUsage: false }],
      ['cohere-embed', { path: () => '/v2/embed', mayAskStreamUsage: false }],
      ['cohere-rerank', { path: () => '/v2/rerank', mayAskStreamUsage: false }],
      ['rerank', { path: () => '/v1/rerank', mayAskStreamUsage: false }],
    ]),
    headers: {},
    credentials: bearerCredentials(options.api_key),
  }),
});
