import * as z from 'zod';
import { defineProvider } from '../../domain/provider.ts';
import { originOf } from '../origin.ts';
import { allowPrivateOption, apiKeyOption, baseUrlOption } from '../provider-options.ts';

export const openai = defineProvider({
  type: 'openai',
  options: z.object({
    api_key: apiKeyOption(),
    base_url: baseUrlOption()
      .default('https://api.openai.com/v1')
      .describe('Address of the API, up to and with the version.'),
    organization: z.string().min(1).optional().describe('Organization the requests are counted to.'),
    project: z.string().min(1).optional().describe('Project the requests are counted to.'),
    allow_private: allowPrivateOption(),
  }),
  create: (options, { name }) => ({
    name,
    system: 'openai',
    vendor: 'openai',
    origin: originOf({ name, baseUrl: options.base_url, allowPrivate: options.allow_private }),
    speaks: new Map([
      // First, because it alone can give reasoning back to the model.
      ['openai-responses', { path: '/responses', mayAskStreamUsage: true }],
      ['openai-chat', { path: '/chat/completions', mayAskStreamUsage: true }],
    ]),
    headers: {
      authorization: `Bearer ${options.api_key.reveal()}`,
      ...(options.organization !== undefined && { 'openai-organization': options.organization }),
      ...(options.project !== undefined && { 'openai-project': options.project }),
    },
  }),
});
